"""The recorder beside the platform: what of it is installed, and how it is started."""

from importlib import metadata
from pathlib import Path

import pytest
from rich.console import Console

from thatdam_pipelines import recorder, up
from thatdam_pipelines.doctor import examine
from thatdam_pipelines.processes import Services
from thatdam_pipelines.settings import Settings

NEEDS = ["fastapi>=0.1", "no-such-thing>=1; extra == 'capture'", "blake3; extra == 'capture'", "torch; extra == 'dev'"]


@pytest.fixture
def without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "requires", lambda name: NEEDS)


def test_nothing_is_missing_where_the_tests_run() -> None:
    assert metadata.requires("thatdam")
    assert recorder.missing_packages() == []


def test_what_the_extra_asks_for_and_nothing_else_is_missing(without_the_extra: None) -> None:
    assert recorder.missing_packages() == ["no-such-thing"]


def test_doctor_names_the_recorder_and_is_well_without_it(settings: Settings, without_the_extra: None) -> None:
    (found,) = [finding for finding in examine(settings) if finding.subject == "recorder"]
    assert found.ok and "no-such-thing" in found.found and "thatdam[capture]" in found.next_step


def test_doctor_names_the_folder_that_recordings_are_taken_from(settings: Settings) -> None:
    (found,) = [finding for finding in examine(settings) if finding.subject == "recorder"]
    assert found.ok and str(settings.capture_dir) in found.found


def test_up_says_that_there_is_no_recorder_and_goes_on(
    settings: Settings, without_the_extra: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class GoesOn(Exception):
        """The ports are looked at next."""

    def goes_on(host: str, port: int, setting: str) -> None:
        raise GoesOn(setting)

    monkeypatch.setattr(up, "_require_free", goes_on)
    with pytest.raises(GoesOn):
        up.run_platform(settings, Console(), sample_footage=False)
    assert "No recorder: no-such-thing" in capsys.readouterr().out


def test_a_recorder_takes_its_folder_and_address_from_the_settings(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, capture=tmp_path / "disk", capture_port=9123)
    assert recorder.recorder_environment(settings) == {"THATDAM_CAPTURE_STORE": str(tmp_path / "disk")}
    assert recorder.recorder_command(settings)[-4:] == ["--host", "127.0.0.1", "--port", "9123"]


def test_a_service_that_ended_is_forgotten_and_another_takes_its_place(tmp_path: Path) -> None:
    services = Services(tmp_path)
    try:
        first = services.start("one", ["true"], tmp_path / "log", {})
        first.process.wait()
        assert services.ended() is first
        services.forget(first)
        assert services.ended() is None and services.running == []
    finally:
        services.stop()

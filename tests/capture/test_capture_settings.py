"""The settings file is checked at start; what is wrong is said with its line."""

from fractions import Fraction
from pathlib import Path

import pytest

from thatdam_capture.errors import SettingsError
from thatdam_capture.settings import Settings, parse_rate


def load(folder: Path, text: str) -> Settings:
    path = folder / "capture.yaml"
    path.write_text(text)
    return Settings.load(path)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("store: here\nsegment_s: long\n", 2, "segment_s"),
        ("cameras:\n  - id: a\n    kind: synthetic\n  - id: b\n    kind: film\n", 5, "kind"),
        ("cameras:\n  - id: a\n    kind: synthetic\n  - id: b\n    kind: rtsp\n", 4, "needs a url"),
        ("cameras:\n  - {id: a, kind: rtsp, url: 'file:///etc/passwd'}\n", 2, "begins with rtsp"),
        ("cameras:\n  - id: a\n    kind: synthetic\n    colour: red\n", 4, "colour"),
        ("cameras:\n  - id: Big Camera\n    kind: synthetic\n", 2, "id"),
        ("limits:\n  max_viewers: 5\n  min_free_bytes: -1\n", 3, "min_free_bytes"),
        ("profile: vhs\n", 1, "no profile 'vhs'"),
        ("store: a\nlisten:\n  host: 0.0.0.0\n", 3, "needs a token"),
        ("cameras:\n- {id: a, kind: synthetic}\n- {id: a, kind: synthetic}\n", 3, "same id"),
        ("cameras:\n- id: a\n  kind: synthetic\n  profile: vhs\n", 4, "no profile 'vhs'"),
        ("cameras:\n- {id: a, kind: synthetic}\ncameras:\n- {id: b, kind: synthetic}\n", 3, "there twice"),
        ("cameras:\n- id: a\n  id: b\n  kind: synthetic\n", 3, "there twice"),
        ("a: &a [*a]\n", 1, ""),
        ("a: 1\nb: [}\n", 2, ""),
        ("- one\n- two\n", 1, "names with values"),
        ("segment_s: 5\n", 1, "from 10 to 600"),
        ("cameras:\n- {id: a, kind: synthetic, rate: fast}\n", 2, "no frame rate"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    assert caught.value.message.startswith(f"{tmp_path / 'capture.yaml'}:{line}: ")
    assert words in caught.value.message
    assert caught.value.next_step


def test_no_secret_is_in_an_error_or_a_dump(tmp_path: Path) -> None:
    text = "token: correct-horse\ncameras:\n- {id: a, kind: rtsp, url: 'rtsp://u:battery@h/1', profile: vhs}\n"
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    assert "battery" not in str(caught.value) and "correct-horse" not in str(caught.value)
    settings = load(tmp_path, text.replace(", profile: vhs", ""))
    assert "battery" not in repr(settings) and "correct-horse" not in settings.model_dump_json()


def test_without_a_file_there_is_a_synthetic_camera() -> None:
    settings = Settings.load()
    assert [camera.kind for camera in settings.cameras] == ["synthetic"]
    assert settings.listen.host == "127.0.0.1" and settings.listen.port == 9000
    assert settings.store == Path.cwd() / "home" / "capture"


def test_a_file_here_is_found_and_the_environment_comes_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("capture.yaml").write_text("store: from-file\nlisten: {port: 9100}\n")
    monkeypatch.setenv("THATDAM_CAPTURE_STORE", str(tmp_path / "from-environment"))
    monkeypatch.setenv("THATDAM_CAPTURE_HOST", "0.0.0.0")
    monkeypatch.setenv("THATDAM_CAPTURE_TOKEN", "correct-horse")
    settings = Settings.load()
    assert settings.store == tmp_path / "from-environment"
    assert (settings.listen.host, settings.listen.port) == ("0.0.0.0", 9100)
    assert settings.token is not None and settings.token.get_secret_value() == "correct-horse"
    assert settings.cameras == ()


def test_the_store_is_in_the_home_of_the_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THATDAM_HOME", str(tmp_path / "elsewhere"))
    assert Settings.load().store == tmp_path / "elsewhere" / "capture"


def test_rates_are_exact() -> None:
    assert parse_rate("29.97") == parse_rate("30000/1001") == Fraction(30000, 1001)
    assert parse_rate("23.976") == Fraction(24000, 1001)
    assert parse_rate("59.94") == Fraction(60000, 1001)
    assert parse_rate("25") == parse_rate("25.0") == 25
    assert parse_rate("12.5") == Fraction(25, 2)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        Settings.load(tmp_path / "none.yaml")

// J K L: how editors move through a clip. Backwards, browsers do not play: the picture is moved instead.

const FASTEST = 8;
const STEP_MS = 80;

export class Shuttle {
  #timer = null;
  speed = 0;

  constructor(video, onChange) {
    this.video = video;
    this.onChange = onChange;
    video.addEventListener("pause", () => this.speed > 0 && !video.seeking && this.#set(0));
    video.addEventListener("ended", () => this.#set(0));
  }

  forward() {
    this.#set(this.speed > 0 ? Math.min(FASTEST, this.speed * 2) : 1);
  }

  back() {
    this.#set(this.speed < 0 ? Math.max(-FASTEST, this.speed * 2) : -1);
  }

  stop() {
    this.#set(0);
  }

  toggle() {
    this.#set(this.speed === 0 ? 1 : 0);
  }

  async #set(speed) {
    this.speed = speed;
    clearInterval(this.#timer);
    if (speed > 0) {
      this.video.playbackRate = speed;
      await this.video.play().catch(() => (this.speed = 0));
    } else {
      this.video.pause();
      if (speed < 0) this.#timer = setInterval(() => this.#stepBack(), STEP_MS);
    }
    this.onChange(this.speed);
  }

  #stepBack() {
    if (this.video.seeking) return;
    this.video.currentTime = Math.max(0, this.video.currentTime + (this.speed * STEP_MS) / 1000);
    if (this.video.currentTime === 0) this.stop();
  }
}

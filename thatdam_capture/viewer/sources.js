// Where pictures come from. Each calls onPicture(drawable, width, height, takenMs) with the newest, and never queues.

const RETRY_MS = [500, 1000, 2000, 5000];

// JPEGs over a WebSocket: 16 bytes (number, microseconds of the Unix clock), then the picture.
export class FramesSource {
  #api; #path; #onPicture; #socket = null; #newest = null; #busy = false; #ended = false; #failures = 0;

  constructor(api, cameraId, onPicture) {
    this.#api = api;
    this.#path = `/v1/devices/${encodeURIComponent(cameraId)}/frames`;
    this.#onPicture = onPicture;
    this.#open();
  }

  async #open() {
    try {
      const socket = await this.#api.socket(this.#path);
      if (this.#ended) return socket.close();
      socket.binaryType = "arraybuffer";
      socket.onmessage = ({ data }) => {
        this.#failures = 0;
        this.#newest = data;
        this.#show();
      };
      socket.onclose = () => this.#again();
      this.#socket = socket;
    } catch {
      this.#again();
    }
  }

  #again() {
    if (this.#ended) return;
    const wait = RETRY_MS[Math.min(this.#failures++, RETRY_MS.length - 1)];
    setTimeout(() => this.#ended || this.#open(), wait);
  }

  async #show() {
    if (this.#busy) return;
    this.#busy = true;
    try {
      while (this.#newest && !this.#ended) {
        const data = this.#newest;
        this.#newest = null;
        const takenMs = Number(new DataView(data).getBigUint64(8)) / 1000;
        const picture = await createImageBitmap(new Blob([new Uint8Array(data, 16)], { type: "image/jpeg" }));
        if (!this.#ended) this.#onPicture(picture, picture.width, picture.height, takenMs);
        picture.close();
      }
    } catch {
      // A picture that cannot be decoded is skipped; the next is on its way.
    } finally {
      this.#busy = false;
    }
  }

  close() {
    this.#ended = true;
    this.#socket?.close();
  }
}

// WebRTC (WHEP). Calls onFailure when it cannot be had, once.
export class WhepSource {
  #api; #onPicture; #onFailure; #location = null; #ended = false;
  #connection = new RTCPeerConnection();
  #video = null;

  constructor(api, cameraId, onPicture, onFailure) {
    this.#api = api;
    this.#onPicture = onPicture;
    this.#onFailure = onFailure;
    this.#connection.ontrack = ({ track, receiver }) => {
      receiver.jitterBufferTarget = 0;
      if ("MediaStreamTrackProcessor" in window) this.#read(track).catch(() => this.#fail());
      else this.#watch(track);
    };
    this.#connection.onconnectionstatechange = () => {
      if (["failed", "disconnected"].includes(this.#connection.connectionState)) this.#fail();
    };
    this.#play(cameraId).catch(() => this.#fail());
  }

  async #play(cameraId) {
    this.#connection.addTransceiver("video", { direction: "recvonly" });
    await this.#connection.setLocalDescription();
    await this.#gathered();
    const path = `/v1/devices/${encodeURIComponent(cameraId)}/whep`;
    const answer = await this.#api.postSdp(path, this.#connection.localDescription.sdp);
    this.#location = answer.location;
    if (this.#ended) return this.#leave();
    await this.#connection.setRemoteDescription({ type: "answer", sdp: answer.sdp });
  }

  #gathered() {
    return new Promise((done) => {
      if (this.#connection.iceGatheringState === "complete") return done();
      this.#connection.addEventListener("icegatheringstatechange", () => {
        if (this.#connection.iceGatheringState === "complete") done();
      });
      setTimeout(done, 1000);
    });
  }

  // Pictures as they are decoded, without waiting for a video element to show them.
  async #read(track) {
    const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done || this.#ended) return value?.close();
      this.#onPicture(value, value.displayWidth, value.displayHeight, null);
      value.close();
    }
  }

  #watch(track) {
    this.#video = document.createElement("video");
    this.#video.muted = this.#video.playsInline = true;
    this.#video.srcObject = new MediaStream([track]);
    this.#video.play().catch(() => {});
    this.#next();
  }

  #next() {
    if (this.#ended) return;
    this.#video.requestVideoFrameCallback(() => {
      if (this.#ended) return;
      this.#onPicture(this.#video, this.#video.videoWidth, this.#video.videoHeight, null);
      this.#next();
    });
  }

  #fail() {
    if (this.#ended) return;
    this.close();
    this.#onFailure();
  }

  #leave() {
    if (this.#location) this.#api.delete(this.#location).catch(() => {});
    this.#location = null;
  }

  close() {
    this.#ended = true;
    this.#connection.close();
    if (this.#video) this.#video.srcObject = null;
    this.#leave();
  }
}

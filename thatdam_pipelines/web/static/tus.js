// Resumable upload of one file: tus 1.0 (https://tus.io/protocols/resumable-upload).

import { change } from "./api.js";

const PIECE = 16 * 2 ** 20;
const TRIES = 8;
const VERSION = { "Tus-Resumable": "1.0.0" };

// Sends a file that arrives with its group. onProgress(bytes that are there). What breaks off is taken up again.
export async function upload(file, path, group, onProgress) {
  const metadata = Object.entries({ relativePath: path, filename: file.name, group }).map(([name, text]) => `${name} ${base64(text)}`);
  const headers = { ...VERSION, "Upload-Length": String(file.size), "Upload-Metadata": metadata.join(",") };
  const made = await change("POST", "/api/v1/uploads", headers);
  const address = new URL(made.headers.get("Location"), location.href).pathname;
  let offset = 0;
  let failures = 0;
  while (offset < file.size) {
    try {
      const piece = file.slice(offset, offset + PIECE);
      const answer = await change("PATCH", address, { ...VERSION, "Upload-Offset": String(offset), "Content-Type": "application/offset+octet-stream" }, piece);
      offset = Number(answer.headers.get("Upload-Offset"));
      failures = 0;
    } catch (error) {
      if (++failures === TRIES || ![0, 408, 409].includes(error.status)) throw error;
      await new Promise((later) => setTimeout(later, 250 * 2 ** failures));
      offset = await reached(address, offset);
    }
    onProgress(offset);
  }
}

async function reached(address, before) {
  const answer = await change("HEAD", address, VERSION).catch(() => null);
  return Number(answer?.headers.get("Upload-Offset") ?? before);
}

function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

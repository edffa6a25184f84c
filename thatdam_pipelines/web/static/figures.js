// Numbers as people read them.

export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (count >= 999.5 && at < units.length - 1) {
    count /= 1000;
    at++;
  }
  return `${count >= 99.5 || at === 0 ? Math.round(count) : count.toFixed(1)} ${units[at]}`;
}

export function span(seconds) {
  if (seconds === null || seconds === undefined) return "";
  const whole = Math.round(seconds);
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  return `${hours ? `${hours}:` : ""}${hours ? two(Math.floor(whole / 60) % 60) : Math.floor(whole / 60)}:${two(whole % 60)}`;
}

const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
export const day = (utc) => DAY.format(new Date(utc));

export const count = (number, one, many = `${one}s`) => `${number.toLocaleString()} ${number === 1 ? one : many}`;

// The number of the frame that is shown at a time.
export const frameAt = (seconds, fps) => Math.floor(seconds * fps + 0.01);

// Time in a clip as timecode, counted on from the clip's own when it has one; drop-frame as SMPTE ST 12-1 has it.
export function timecode(seconds, fps, start = null) {
  const rate = fps || 25;
  const base = Math.round(rate);
  const found = /^(\d\d):(\d\d):(\d\d)([:;])(\d\d)$/.exec(start ?? "");
  const drops = found?.[4] === ";" ? Math.round(base / 15) : 0;
  let frames = frameAt(seconds, rate);
  if (found) {
    const [hours, minutes, whole, , rest] = found.slice(1).map(Number);
    const all = hours * 60 + minutes;
    frames += (all * 60 + whole) * base + rest - drops * (all - Math.floor(all / 10));
  }
  if (drops) {
    const [tens, left] = [Math.floor(frames / (600 * base - 9 * drops)), frames % (600 * base - 9 * drops)];
    frames += 9 * drops * tens + (left < drops ? 0 : drops * Math.floor((left - drops) / (60 * base - drops)));
  }
  const two = (number) => String(Math.floor(number)).padStart(2, "0");
  const whole = Math.floor(frames / base);
  return `${two((whole / 3600) % 24)}:${two((whole / 60) % 60)}:${two(whole % 60)}${drops ? ";" : ":"}${two(frames % base)}`;
}

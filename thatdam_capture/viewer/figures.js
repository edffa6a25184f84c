// Numbers as people read them.

export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  return `${two(Math.floor(whole / 3600))}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

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
  if (seconds >= 86400 * 2) return `${Math.floor(seconds / 86400)} days`;
  if (seconds >= 3600) return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
  return seconds >= 60 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds)} s`;
}

// take-12 is followed by take-13, 009 by 010; a name without a number stays.
export function nextTake(name) {
  return name.replace(/\d+$/, (digits) => String(Number(digits) + 1).padStart(digits.length, "0"));
}

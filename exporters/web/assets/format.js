// Numbers for people. What is unknown is a dash, never 0.

export const UNKNOWN = "–";
const POWERS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

function known(write) {
  return (number) => (number === null || number === undefined || Number.isNaN(number) ? UNKNOWN : write(number));
}

function short(number) {
  return number < 10 ? number.toFixed(1) : Math.round(number).toString();
}

export const bytes = known((number) => {
  let power = 0;
  while (Math.abs(number) >= 1023.5 && power < POWERS.length - 1) {
    number /= 1024;
    power += 1;
  }
  return `${power ? short(number) : Math.round(number)} ${POWERS[power]}`;
});

export const bytesPerSecond = known((number) => `${bytes(number)}/s`);

export const cores = known((number) => number.toFixed(number < 9.995 ? 2 : 1));

export const percent = known((ratio) => `${ratio < 0.0995 ? (100 * ratio).toFixed(1) : Math.round(100 * ratio)} %`);

export const count = known((number) => Math.round(number).toLocaleString("en"));

export const seconds = known((number) => (number < 1 ? `${(number * 1000).toFixed(1)} ms` : `${number.toFixed(1)} s`));

export const duration = known((number) => {
  const steps = [[86400, "d"], [3600, "h"], [60, "min"]];
  for (const [length, unit] of steps) {
    if (number >= length) return `${Math.floor(number / length)} ${unit}`;
  }
  return `${Math.floor(number)} s`;
});

export const moment = known((epoch) => new Date(epoch * 1000).toLocaleString("sv"));

// A value as /metrics has it, by what its name says.
export function ofMetric(name, number) {
  const base = name.replace(/_total$/, "");
  if (base.endsWith("_time_seconds") || base === "container_last_seen") return moment(number);
  if (base.endsWith("_bytes") && Math.abs(number) >= 1024) return `${count(number)} (${bytes(number)})`;
  return Number.isInteger(number) ? count(number) : String(number);
}

// The demonstration as a picture: what the filters published over the winter, where the alarm was on, and what happened
// when. Made from a run's own points; README.md shows one.
import type { Point } from "./screen.ts";

/** Something that happened just before the point with this number. */
export interface Mark {
  at: number;
  text: string;
}

const width = 900;
const height = 330;
const left = 60;
const right = 20;
const top = 70;
const bottom = 40;
const colours = { river: "#2a6f97", alarm: "#d62828", text: "#333333", grid: "#dddddd" };

export function picture(points: readonly Point[], marks: readonly Mark[]): string {
  const most = Math.max(100, ...points.map(({ flow }) => flow));
  const x = (index: number) =>
    left + ((width - left - right) * index) / Math.max(1, points.length - 1);
  const y = (flow: number) => top + (height - top - bottom) * (1 - flow / most);
  const label = (atX: number, atY: number, text: string, extra = "") =>
    `<text x="${atX.toFixed(1)}" y="${atY.toFixed(1)}" ${extra}>${text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")}</text>`;

  const levels = [0, 1, 2, 3, 4].map((step) => Math.round((most / 4) * step));
  const grid = levels.map(
    (flow) =>
      `<line x1="${left}" x2="${width - right}" y1="${y(flow).toFixed(1)}" y2="${y(flow).toFixed(1)}" stroke="${colours.grid}"/>` +
      label(left - 6, y(flow) + 4, String(flow), 'text-anchor="end"'),
  );
  const alarms = points.flatMap(({ alarm }, index) =>
    alarm
      ? [
          `<rect x="${x(index).toFixed(1)}" y="${top}" width="${(x(1) - x(0)).toFixed(1)}" height="${height - top - bottom}" fill="${colours.alarm}" opacity="0.18"/>`,
        ]
      : [],
  );
  const curve = points
    .map(({ flow }, index) => `${x(index).toFixed(1)},${y(flow).toFixed(1)}`)
    .join(" ");
  const flags = marks.flatMap(({ at, text }, row) => {
    const height0 = top - 8 - (row % 2) * 15;
    return [
      `<line x1="${x(at).toFixed(1)}" x2="${x(at).toFixed(1)}" y1="${height0}" y2="${height - bottom}" stroke="${colours.text}" stroke-dasharray="3 3"/>`,
      x(at) < width * 0.75
        ? label(x(at) + 4, height0 + 4, text)
        : label(x(at) - 4, height0 + 4, text, 'text-anchor="end"'),
    ];
  });
  const dates = points.flatMap(({ date }, index) =>
    date.endsWith("-01") ? [label(x(index), height - bottom + 18, date)] : [],
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif" font-size="12" fill="${colours.text}">`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    label(
      left,
      20,
      "River Wye, winter 2013/14: flow as the filter on the node published it (m³/s); red: its flood alarm",
      'font-size="14"',
    ),
    ...grid,
    ...alarms,
    `<polyline points="${curve}" fill="none" stroke="${colours.river}" stroke-width="2"/>`,
    ...flags,
    ...dates,
    "</svg>\n",
  ].join("\n");
}

interface Axis {
  label: string;
  text(value: number): string;
}

export interface Point {
  x: number;
  y: number;
  /** What it is, for whoever points at it. */
  words: string;
  kind: "offered" | "chosen" | "elsewhere";
}

interface Drawn {
  title: string;
  caption: string;
  x: Axis;
  y: Axis;
  points: Point[];
}

const [width, height, left, bottom, rim] = [320, 220, 46, 38, 10];

/** Points on two axes that begin at nothing, or below it where a value does. */
export function Plot({ title, caption, x, y, points }: Drawn) {
  const [across, up] = [scale(points.map((point) => point.x)), scale(points.map((point) => point.y))];
  const atX = (value: number) => left + ((value - across.low) / (across.high - across.low)) * (width - left - rim);
  const atY = (value: number) => height - bottom - ((value - up.low) / (up.high - up.low)) * (height - bottom - rim);
  // What is offered lies above what is not, and the chosen above all.
  const order = { elsewhere: 0, offered: 1, chosen: 2 };
  const drawn = [...points].sort((a, b) => order[a.kind] - order[b.kind]);
  return (
    <figure class="plot">
      <svg viewBox={`0 0 ${width} ${height}`} role="img" aria-label={`${title}: ${points.map((point) => point.words).join("; ")}`}>
        {up.ticks.map((tick) => (
          <g key={`y${tick}`}>
            <line class="grid" x1={left} x2={width - rim} y1={atY(tick)} y2={atY(tick)} />
            <text x={left - 4} y={atY(tick) + 3} text-anchor="end">{y.text(tick)}</text>
          </g>
        ))}
        {across.ticks.map((tick) => (
          <g key={`x${tick}`}>
            <line class="grid" x1={atX(tick)} x2={atX(tick)} y1={rim} y2={height - bottom} />
            <text x={atX(tick)} y={height - bottom + 12} text-anchor="middle">{x.text(tick)}</text>
          </g>
        ))}
        <text x={(left + width - rim) / 2} y={height - 8} text-anchor="middle">{x.label}</text>
        <text transform={`translate(9 ${(height - bottom + rim) / 2}) rotate(-90)`} text-anchor="middle">{y.label}</text>
        {drawn.map((point, at) => (
          <circle key={at} class={point.kind} cx={atX(point.x)} cy={atY(point.y)} r={point.kind === "chosen" ? 6 : 4}><title>{point.words}</title></circle>
        ))}
      </svg>
      <figcaption><strong>{title}.</strong> {caption}</figcaption>
    </figure>
  );
}

/** Round numbers around some values: at most six steps. */
function scale(values: number[]): { low: number; high: number; ticks: number[] } {
  const [least, most] = [Math.min(0, ...values), Math.max(0, ...values)];
  const span = most - least || 1;
  const power = 10 ** Math.floor(Math.log10(span / 5));
  const step = power * ([1, 2, 5, 10].find((times) => span / (times * power) <= 5) ?? 10);
  const [from, to] = [Math.floor(least / step), Math.max(Math.ceil(most / step), Math.floor(least / step) + 1)];
  const ticks = Array.from({ length: to - from + 1 }, (_, at) => (from + at) * step);
  return { low: from * step, high: to * step, ticks };
}

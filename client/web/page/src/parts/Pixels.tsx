import { useEffect, useRef } from "preact/hooks";

interface Shown {
  values: Uint8Array;
  channels: number;
  width: number;
  height: number;
  label: string;
}

/** Bytes as a picture: channel by channel, row by row, grey or red, green and blue. */
export function Pixels({ values, channels, width, height, label }: Shown) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context) return;
    const picture = context.createImageData(width, height);
    const area = width * height;
    for (let at = 0; at < area; at++) {
      const sample = (channel: number) => values[(channels >= 3 ? channel : 0) * area + at] ?? 0;
      picture.data.set([sample(0), sample(1), sample(2), 255], at * 4);
    }
    context.putImageData(picture, 0, 0);
  }, [values, channels, width, height]);
  return <canvas ref={canvas} class="pixels" width={width} height={height} role="img" aria-label={label} />;
}

import { useEffect, useRef } from "preact/hooks";

/** A row of pictures that came as a PNG in base64. It is painted: the page's policy lets no image come from elsewhere. */
export function Strip({ name, png }: { name: string; png: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    void paint(canvas.current, png);
  }, [png]);
  return (
    <figure>
      <canvas ref={canvas} role="img" aria-label={name} />
      <figcaption>{name}</figcaption>
    </figure>
  );
}

async function paint(canvas: HTMLCanvasElement | null, png: string): Promise<void> {
  if (!canvas) return;
  try {
    const bytes = Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0));
    const picture = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    [canvas.width, canvas.height] = [picture.width, picture.height];
    canvas.getContext("2d")?.drawImage(picture, 0, 0);
  } catch {
    // A stranger's bytes that are no picture: the row stays empty.
  }
}

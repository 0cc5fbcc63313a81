/** Released numbers as bars, the way that the creator gets them. */
export function Codes({ codes }: { codes: number[] }) {
  const most = Math.max(1, ...codes.map(Math.abs));
  const width = 4;
  return (
    <svg class="codes" viewBox={`0 0 ${codes.length * width} 40`} role="img" aria-label={`${codes.length} released numbers`}>
      {codes.map((code, at) => {
        const height = (Math.abs(code) / most) * 19;
        return <rect key={at} x={at * width} y={code < 0 ? 20 : 20 - height} width={width - 1} height={Math.max(height, 0.5)} />;
      })}
    </svg>
  );
}

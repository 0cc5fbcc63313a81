// What is served has to pass the page's own policy: no inlined files, no inline scripts or styles.
export default {
  base: "./",
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false }, reportCompressedSize: false },
  worker: { format: "es" },
};

// What is served has to pass the page's own policy: no inlined files, no inline scripts or styles.
/** Tells the browser in the page's head to fetch the WebAssembly, before any script asks for it. */
const fetchesEarly = {
  name: "fetches-early",
  transformIndexHtml: {
    order: "post",
    handler: (_, { bundle }) =>
      Object.keys(bundle ?? {})
        .filter((file) => file.endsWith(".wasm"))
        .map((file) => ({
          tag: "link",
          attrs: { rel: "preload", href: `./${file}`, as: "fetch", type: "application/wasm", crossorigin: "" },
          injectTo: "head",
        })),
  },
};

export default {
  plugins: [fetchesEarly],
  base: "./",
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false }, reportCompressedSize: false },
  worker: { format: "es" },
};

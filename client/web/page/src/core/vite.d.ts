// What Vite makes of an import that ends in `?url`: where the file is served.
declare module "*.wasm?url" {
  const url: string;
  export default url;
}

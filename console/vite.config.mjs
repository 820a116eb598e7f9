// Two pages of one source: `index.html` for citizens, `console/index.html` for operators, and the service
// worker, which must keep its name because browsers look it up by it.
import { defineConfig } from "vite";
import { mock } from "./dev/mock.mjs";

export default defineConfig({
  appType: "mpa",
  plugins: [mock()],
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: {
    target: ["chrome80", "safari14", "firefox78"],
    // Nothing inline: the content security policy allows only files of our own.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: { citizen: "index.html", console: "console/index.html", sw: "src/sw/sw.ts" },
      output: {
        entryFileNames: (chunk) => (chunk.name === "sw" ? "sw.js" : "assets/[name]-[hash].js"),
      },
    },
  },
  // A test reads the levels' colours where the node keeps them.
  server: { fs: { allow: [".."] } },
  test: { include: ["src/**/*.test.ts"], css: { include: /tokens/ } },
});

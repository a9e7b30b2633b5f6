import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const backend = process.env.PARLEY_BACKEND ?? "http://127.0.0.1:8000";
const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

export default defineConfig({
  plugins: [react()],
  resolve: {
    alias: [
      { find: "@parley/client/react", replacement: path("./client/src/react.ts") },
      { find: "@parley/client", replacement: path("./client/src/index.ts") },
    ],
  },
  build: {
    outDir: "../flow_backend/page",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 600,
    // One file of styles: a view that is loaded again after a failure finds its own there.
    cssCodeSplit: false,
  },
  server: { proxy: { "/api": backend, "/ws": { target: backend, ws: true }, "/readyz": backend } },
});

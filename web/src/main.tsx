import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app";
import { Texts } from "./i18n";
import "./theme.css";

const root = document.getElementById("root");
if (!root) throw new Error("The page has no root element.");
createRoot(root).render(
  <StrictMode>
    <Texts>
      <App />
    </Texts>
  </StrictMode>,
);

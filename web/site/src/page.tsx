// Starts the page, and what makes it work without a network.

import { render } from "preact";
import "../../src/styles/base.css";
import "../../src/styles/controls.css";
import "../../src/styles/thread.css";
import "../../src/styles/composer.css";
import "../../src/styles/markdown.css";
import "../../src/styles/dialogs.css";
import "./page.css";
import { look } from "./model.ts";
import { App } from "./views.tsx";

render(<App />, document.getElementById("app")!);
void look();
navigator.serviceWorker?.register("sw.js").catch(() => undefined); // then the page needs its server

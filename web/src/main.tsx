// Starts the page: styles, state, shortcuts, views.

import { render } from "preact";
import "./styles/base.css";
import "./styles/controls.css";
import "./styles/sidebar.css";
import "./styles/thread.css";
import "./styles/markdown.css";
import "./styles/composer.css";
import "./styles/pictures.css";
import "./styles/sight.css";
import "./styles/dialogs.css";
import "./styles/panels.css";
import { enter } from "./api/entry";
import { listenForShortcuts } from "./keyboard";
import { onListChange, reload } from "./state/chat";
import { watchConnection } from "./state/connection";
import { loadList } from "./state/library";
import { loadModels } from "./state/models";
import { inform } from "./state/notices";
import { watchPulls } from "./state/pulls";
import { text } from "./i18n";
import { App } from "./views/App";

await enter();
render(<App />, document.getElementById("app")!);

onListChange(() => void loadList());
void loadList();
void loadModels();
void watchPulls();
void watchConnection(() => {
  inform(text.peek().reconnected);
  reload();
  void loadList();
  void loadModels();
  void watchPulls();
});
// Another window may have changed things meanwhile.
addEventListener("focus", () => {
  reload();
  void loadList();
  void loadModels();
  void watchPulls();
});
listenForShortcuts();

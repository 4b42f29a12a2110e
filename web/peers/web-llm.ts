// What the alias names in the place of web-llm: its names, with the models of two packaged sites in its list.

import { listPackaged } from "@hearth/web/webllm";

export * from "@hearth/web/webllm";

await listPackaged("/stories/", "/tales/model.json");

// Where the model computes, so that the page never waits.

import { serveModel } from "../../runtime/src/api/worker.ts";

serveModel(self);

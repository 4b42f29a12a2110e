// The grammar engine, which web-llm has built in: here it is a chunk of its own, which the first request for a structure loads.

export const loadGrammars = (): Promise<unknown> => import("@mlc-ai/web-xgrammar");

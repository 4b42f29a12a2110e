// The grammar engine, which web-llm has built in: here it is loaded when the first request wants a structure, where it is installed.

/** A variable, so that bundlers do not fail where it is not installed. */
const XGRAMMAR = "@mlc-ai/web-xgrammar";

export const loadGrammars = (): Promise<unknown> => import(/* @vite-ignore */ XGRAMMAR) as Promise<unknown>;

// Runs one of the programs by its name; a program answers what the tests look at.

type Program = () => Promise<unknown>;

const modules = import.meta.glob<Record<string, Program>>(["./programs/*.ts", "./packages/*.ts"]);

Object.assign(globalThis, {
  async run(file: string, name: string, patienceMs: number): Promise<unknown> {
    const load = modules[`./${file}.ts`];
    if (load === undefined) throw new Error(`There is no ${file}.`);
    const program = (await load())[name]!;
    return Promise.race([program(), new Promise((_, reject) => setTimeout(() => reject(new Error(`${name} hangs.`)), patienceMs))]);
  },
});

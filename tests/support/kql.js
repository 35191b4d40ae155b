// Parses and binds Kusto queries with Microsoft's own language library.
// stdin: {"tables": {name: {column: type}}, "queries": {name: text}}; stdout: {name: {"errors": [text], "columns": {name: type}}}.
"use strict";
require("@kusto/language-service-next/bridge.min.js");
require("@kusto/language-service-next/Kusto.Language.Bridge.min.js");
const { GlobalState, KustoCode, Symbols } = Kusto.Language;

const input = JSON.parse(require("fs").readFileSync(0, "utf8"));
const tables = Object.entries(input.tables).map(([name, columns]) =>
  Symbols.TableSymbol.From("(" + Object.entries(columns).map(([column, type]) => `${column}: ${type}`).join(", ") + ")").WithName(name));
const list = (values) => { const made = new (System.Collections.Generic.List$1(Symbols.Symbol).ctor)(); values.forEach((value) => made.add(value)); return made; };
const database = new Symbols.DatabaseSymbol.$ctor3("workspace", null, list(tables), false);
const globals = GlobalState.Default.WithDatabase(database);

const result = {};
for (const [name, text] of Object.entries(input.queries)) {
  const code = KustoCode.ParseAndAnalyze(text, globals);
  const errors = [];
  const diagnostics = code.GetDiagnostics();
  for (let i = 0; i < diagnostics.Count; i++) {
    const item = diagnostics.getItem(i);
    if (item.Severity === "Suggestion") continue;
    const line = text.slice(0, item.Start).split("\n").length;
    errors.push(`line ${line}: ${item.Code}: ${item.Message}`);
  }
  const columns = {};
  const type = code.ResultType;
  if (type && type.Columns) for (let i = 0; i < type.Columns.Count; i++) {
    const column = type.Columns.getItem(i);
    columns[column.Name] = column.Type.Name;
  }
  result[name] = { errors, columns };
}
process.stdout.write(JSON.stringify(result));

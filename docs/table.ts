/** A Markdown table with its columns padded, which is how the formatter leaves it. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map(cell));
  const widths = head.map((title, column) =>
    Math.max(...[head, ...cells].map((row) => [...(row[column] ?? "")].length), title.length),
  );
  const line = (row: readonly string[], fill: string): string =>
    `| ${row.map((text, column) => text.padEnd(widths[column] ?? 0, fill)).join(" | ")} |`;
  return [
    line(head, " "),
    line(
      head.map(() => ""),
      "-",
    ),
    ...cells.map((row) => line(row, " ")),
  ].join("\n");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}

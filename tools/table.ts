import { printable } from "../components/hosts/printable";

/** Rows in columns, for a terminal. */
export function renderTable(rows: readonly (readonly string[])[]): string {
  const plain = rows.map((cells) => cells.map((cell) => printable(cell)));
  const widths = (plain[0] ?? []).map((_, column) =>
    Math.max(...plain.map((cells) => cells[column]?.length ?? 0)),
  );
  return plain
    .map((cells) =>
      cells
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

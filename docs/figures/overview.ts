/** The picture in README.md: one machine with Pulumi, three hosts, and who talks to whom. */

const SIZE = { width: 880, height: 378 };
const INK = "#1f2933";
const FAINT = "#52606d";
const OPERATOR = { fill: "#eaf2fb", stroke: "#0b5fa5" };
const HOST = { fill: "#f3f8ee", stroke: "#4c7a1e" };
const CLIENT = { fill: "#f5f7fa", stroke: "#52606d" };

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

interface Colours {
  readonly fill: string;
  readonly stroke: string;
}

function text(x: number, y: number, words: string, style = ""): string {
  return `<text x="${x}" y="${y}"${style}>${words}</text>`;
}

/** A box with a title and further lines in it. */
function panel(box: Box, { fill, stroke }: Colours, [title = "", ...lines]: string[]): string {
  const { x, y, width, height } = box;
  return [
    `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="8" fill="${fill}" stroke="${stroke}" stroke-width="1.5"/>`,
    text(x + 16, y + 26, title, ' font-weight="bold" font-size="15"'),
    ...lines.map((line, index) => text(x + 16, y + 47 + 19 * index, line)),
  ].join("\n");
}

type Point = readonly [x: number, y: number];

/** A line, with a head where one end calls the other. */
function line([x1, y1]: Point, [x2, y2]: Point, colour: string, head = true): string {
  const end = head ? ' marker-end="url(#head)"' : "";
  return `<path d="M${x1} ${y1} L${x2} ${y2}" stroke="${colour}" stroke-width="1.5" fill="none"${end}/>`;
}

/** The picture as SVG. */
export function renderOverview(): string {
  const operator: Box = { x: 16, y: 88, width: 268, height: 202 };
  const client: Box = { x: 730, y: 137, width: 134, height: 104 };
  const hosts: Box[] = [0, 1, 2].map((index) => {
    return { x: 378, y: 12 + index * 127, width: 258, height: 100 };
  });
  const middle = ({ y, height }: Box) => y + height / 2;
  const right = ({ x, width }: Box) => x + width;
  const small = ` fill="${FAINT}" font-size="12"`;
  const parts = [
    panel(operator, OPERATOR, [
      "Your machine: pulumi up",
      "Pulumi.prod.yaml: nodes, version, ...",
      "",
      "1. inspect all hosts, read-only",
      "2. plan, or refuse with all reasons",
      "3. CA, certificates, releases",
      "4. members, one at a time",
      "5. wait for one healthy cluster",
    ]),
    ...hosts.map((box, index) =>
      panel(box, HOST, [
        `etcd0${index + 1}`,
        "etcd.service, sandboxed",
        "certificates, /etc/etcd.env",
        "nftables: 2380 for members only",
      ]),
    ),
    panel(client, CLIENT, ["Clients", "a certificate", "of the same CA"]),
    ...hosts.map((box) =>
      line([right(operator) + 4, middle(operator)], [box.x - 6, middle(box)], OPERATOR.stroke),
    ),
    text(340, middle(operator) - 6, "SSH", small),
    ...hosts.map((box) =>
      line([client.x - 4, middle(client)], [right(box) + 6, middle(box)], CLIENT.stroke),
    ),
    text(650, middle(client) - 6, "TLS 2379", small),
    ...hosts
      .slice(1)
      .flatMap((box) => [
        line([490, box.y - 26], [490, box.y - 1], HOST.stroke, false),
        text(502, box.y - 9, "peers, TLS 2380", small),
      ]),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${SIZE.width}" height="${SIZE.height}" viewBox="0 0 ${SIZE.width} ${SIZE.height}" font-family="Helvetica, Arial, sans-serif" font-size="13" fill="${INK}">
<title>Pulumi on one machine sets up etcd on three Debian hosts over SSH</title>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="${FAINT}"/></marker></defs>
<rect width="${SIZE.width}" height="${SIZE.height}" fill="#ffffff"/>
${parts.join("\n")}
</svg>
`;
}

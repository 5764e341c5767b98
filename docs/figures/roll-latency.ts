/** The chart in docs/versions.md: how long writes took while a cluster went from etcd 3.6 to 3.7. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type EChartsOption, init } from "echarts";
import type { Point } from "../../test/load/latency";
import { hostAddress } from "../../test/support/lab";

const TITLE = "etcd 3.6.14 to 3.7.2, member by member, under load";
const SIZE = { width: 880, height: 380 };
const INK = "#1f2933";
const FAINT = "#d9e2ec";
const BAND = "#fde8c8";
const MEDIAN = "#0b5fa5";
const SLOWEST = "#9cc3e6";
const HOSTS = ["etcd01", "etcd02", "etcd03"];

/** What `npm run campaign -- roll-latency` measured. */
export function readPoints(): readonly Point[] {
  const lines = readFileSync(join(__dirname, "roll-latency.jsonl"), "utf8").trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line));
}

function hostOf(endpoint: string): string {
  return HOSTS.find((host) => endpoint.includes(`//${hostAddress(host)}:`)) ?? endpoint;
}

const seconds = (milliseconds: number) => milliseconds / 1000;

function options(points: readonly Point[]): EChartsOption {
  const writes = points.filter((point) => point.record === "writes");
  const restarts = points.filter((point) => point.record === "restart");
  const elections = points.filter((point) => point.record === "election");
  const total = writes.reduce((sum, { count }) => sum + count, 0);
  const line = { type: "line", symbol: "none", silent: true } as const;
  return {
    animation: false,
    backgroundColor: "#ffffff",
    textStyle: { fontFamily: "Helvetica, Arial, sans-serif", color: INK },
    title: {
      text: TITLE,
      subtext: `${total.toLocaleString("en")} acknowledged writes of 48 clients, none failed. Shaded: this member does not answer`,
      left: 20,
      top: 12,
      textStyle: { fontSize: 16, color: INK },
      subtextStyle: { fontSize: 12, color: INK },
    },
    legend: { right: 20, top: 20, itemGap: 24, icon: "roundRect" },
    grid: { left: 64, right: 24, top: 112, bottom: 52 },
    xAxis: {
      type: "value",
      name: 'seconds since "pulumi up" started',
      nameLocation: "middle",
      nameGap: 30,
      max: seconds(writes.at(-1)?.at ?? 0),
      axisLabel: { showMaxLabel: false },
      splitLine: { show: false },
      axisLine: { lineStyle: { color: INK } },
    },
    yAxis: {
      type: "log",
      name: "milliseconds",
      nameLocation: "middle",
      nameGap: 44,
      min: 1,
      max: 3000,
      axisLabel: { showMaxLabel: false },
      splitLine: { lineStyle: { color: FAINT } },
    },
    series: [
      {
        ...line,
        name: "slowest write",
        color: SLOWEST,
        lineStyle: { width: 1.2 },
        areaStyle: { opacity: 0.25, origin: "start" },
        data: writes.map(({ at, slowest }) => [seconds(at), slowest]),
        markArea: {
          silent: true,
          itemStyle: { color: BAND, opacity: 0.8 },
          label: { position: "top", color: INK, fontSize: 12 },
          data: restarts.map(({ endpoint, from, to }) => [
            { name: hostOf(endpoint), xAxis: seconds(from) },
            { xAxis: seconds(to) },
          ]),
        },
      },
      {
        ...line,
        name: "median write",
        color: MEDIAN,
        lineStyle: { width: 1.6 },
        data: writes.map(({ at, median }) => [seconds(at), median]),
        markLine: {
          silent: true,
          symbol: "none",
          lineStyle: { color: INK, type: "dashed" },
          label: { formatter: "leadership transferred", position: "end", distance: 22, color: INK },
          data: elections.map(({ at }) => ({ xAxis: seconds(at) })),
        },
      },
    ],
  };
}

/** The chart as SVG. */
export function renderRollLatency(points: readonly Point[]): string {
  const chart = init(null, null, { renderer: "svg", ssr: true, ...SIZE });
  chart.setOption(options(points));
  const svg = chart.renderToSVGString();
  chart.dispose();
  // Nothing moves under a pointer here, and the library counts its charts in the names that it makes.
  const titled = svg.replace(/^<svg[^>]*>\n/, (tag) => `${tag}<title>${TITLE}</title>\n`);
  const still = titled.replace(/<style[\s\S]*?<\/style>\n?/g, "").replace(/ class="[^"]*"/g, "");
  return `${still.replace(/\bzr\d+-/g, "")}\n`;
}

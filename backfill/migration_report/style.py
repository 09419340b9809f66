"""The style sheet of the HTML report: light or dark as the browser prefers, black on white in print."""

from __future__ import annotations

from typing import Final

CSS: Final = """
:root { color-scheme: light dark; --paper: #ffffff; --sheet: #f6f7f9; --line: #e2e5ea; --ink: #1b2130; --soft: #5d6678;
  --accent: #2f5bd7; --good: #11734b; --good-bg: #e3f4ec; --bad: #b3261e; --bad-bg: #fce9e7; --open: #8a5a00;
  --open-bg: #fdf1d9; --bar: #7f9cf0; }
@media (prefers-color-scheme: dark) { :root { --paper: #12151c; --sheet: #1a1e27; --line: #2c323f; --ink: #e7eaf0;
  --soft: #9aa4b6; --accent: #8fabff; --good: #6fd6a5; --good-bg: #14332a; --bad: #ff9d94; --bad-bg: #3d1d1c;
  --open: #f2c26b; --open-bg: #3a2d12; --bar: #5472cf; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.55 system-ui, -apple-system, "Segoe UI",
  Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 40px 28px 64px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.02em; }
h2 { font-size: 20px; margin: 48px 0 14px; letter-spacing: -0.01em; }
h3 { font-size: 17px; margin: 0; overflow-wrap: anywhere; }
h4 { font-size: 12px; margin: 22px 0 6px; color: var(--soft); text-transform: uppercase; letter-spacing: 0.06em; }
p { margin: 6px 0; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
.soft { color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 12px; margin: 26px 0 0; }
.tile { background: var(--sheet); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px; }
.tile b { display: block; font-size: 25px; line-height: 1.2; font-weight: 650; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; }
.tile.good b { color: var(--good); } .tile.bad b { color: var(--bad); } .tile.open b { color: var(--open); }
.pill { display: inline-block; padding: 1px 10px; border-radius: 999px; font-size: 13px; font-weight: 600;
  white-space: nowrap; }
.pill.good { color: var(--good); background: var(--good-bg); }
.pill.bad { color: var(--bad); background: var(--bad-bg); }
.pill.open { color: var(--open); background: var(--open-bg); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: 12.5px; white-space: nowrap; }
th, td { padding: 7px 14px 7px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
td { overflow-wrap: anywhere; }
th.n, td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.w { white-space: nowrap; }
code, .mono { font: 12.5px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; }
section.card { border: 1px solid var(--line); border-radius: 12px; padding: 20px 22px; margin: 16px 0; }
section.card header { display: flex; flex-wrap: wrap; gap: 6px 14px; align-items: center; }
.side { display: grid; grid-template-columns: 1fr 1fr; gap: 12px; margin: 14px 0 8px; }
.side > div { background: var(--sheet); border-radius: 8px; padding: 12px 14px; min-width: 0; }
.side b { font-size: 20px; font-weight: 650; font-variant-numeric: tabular-nums; }
.side .mono { overflow-wrap: anywhere; color: var(--soft); font-size: 11.5px; }
.rate { position: relative; display: block; padding-bottom: 5px; }
.rate i { position: absolute; right: 0; bottom: 1px; height: 3px; background: var(--bar); border-radius: 2px; }
footer { margin-top: 48px; padding-top: 14px; border-top: 1px solid var(--line); color: var(--soft); font-size: 13px; }
@media (max-width: 640px) { main { padding: 24px 16px 40px; } .side { grid-template-columns: 1fr; }
  .tiles { grid-template-columns: 1fr 1fr; } .scroll table { min-width: 680px; } section.card { padding: 16px; } }
@media print {
  :root { color-scheme: light; --paper: #fff; --sheet: #fff; --line: #c8ccd4; --ink: #000; --soft: #444; --accent: #000;
    --good: #0b5a39; --good-bg: #fff; --bad: #8c1710; --bad-bg: #fff; --open: #6b4600; --open-bg: #fff;
    --bar: #9aa7c7; }
  @page { margin: 16mm 14mm; }
  body { font-size: 10pt; } main { max-width: none; padding: 0; } h2 { margin-top: 22pt; break-after: avoid; }
  table { font-size: 8.5pt; } th { font-size: 8pt; } tr, .tile, .side, section.card header { break-inside: avoid; }
  thead { display: table-header-group; } .pill { border: 1px solid currentColor; font-size: 8pt; }
  .scroll { overflow: visible; }
  .tiles { grid-template-columns: repeat(4, 1fr); } h4, header { break-after: avoid; }
}
"""

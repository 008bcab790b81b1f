// The page's behaviour: figures in the reader's colours, tables that sort and filter, details of runs. Names from the
// data only ever become text (textContent) or Plotly labels that were escaped when the page was made.
(() => {
  "use strict";
  const data = (id) => JSON.parse(document.getElementById(id).textContent);
  const figures = data("figures-data");
  const details = data("details-data");

  // Figures -------------------------------------------------------------------------------------------------------

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // A copy in which every colour `var(--x)` is the value of that CSS variable. Only keys that hold colours are looked at.
  function coloured(value, key) {
    if (Array.isArray(value)) return value.map((one) => coloured(one, key));
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, coloured(one, name)]));
    const found = typeof value === "string" && /color$/i.test(key) && /^var\((--[\w-]+)\)$/.exec(value);
    return found ? css(found[1]) : value;
  }

  function themed(layout) {
    const axis = { gridcolor: css("--grid"), linecolor: css("--line"), zerolinecolor: css("--line"), tickcolor: css("--line") };
    const own = coloured(layout, "");
    for (const name of Object.keys(own)) if (/^[xy]axis\d*$/.test(name)) own[name] = { ...axis, ...own[name] };
    return {
      ...own,
      autosize: true,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", size: 12, color: css("--ink") },
      hoverlabel: { bgcolor: css("--card"), bordercolor: css("--line"), font: { color: css("--ink") }, align: "left", namelength: -1 },
      modebar: { color: css("--muted"), activecolor: css("--main"), bgcolor: "rgba(0,0,0,0)" },
    };
  }

  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    toImageButtonOptions: { format: "svg" },
  };

  function draw(place) {
    const { data: traces, layout } = figures[place.dataset.plot];
    return Plotly.react(place, coloured(traces, ""), themed(layout), config);
  }

  function clicked(event) {
    const point = event.points[0];
    const found = point && Array.isArray(point.customdata) && point.data.meta ? point.customdata : [];
    const run = found.find((one) => Object.hasOwn(details.runs, one));
    if (run) showRun(run);
  }

  const places = [...document.querySelectorAll("[data-plot]")];
  for (const place of places) draw(place).then(() => place.on("plotly_click", clicked));
  const redraw = () => places.forEach(draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

  // Paper is narrower than a screen, and browsers print figures in the size that they had there.
  const paper = 660;
  addEventListener("beforeprint", () => {
    for (const place of places) if (place.clientWidth > paper) Plotly.relayout(place, { width: paper });
  });
  addEventListener("afterprint", redraw);

  // Menus: the first chooses among `choices`, the second among that choice's y values.
  for (const first of document.querySelectorAll('[data-level="0"]')) {
    const name = first.dataset.menu;
    const second = document.querySelector(`[data-menu="${name}"][data-level="1"]`);
    const { choices, data: traces } = figures[name];
    const about = traces.map((trace) => trace.customdata[0]); // of a whole curve, so the same at each of its points
    const fill = (menu, names) => {
      const kept = menu.value;
      menu.replaceChildren(...names.map((text) => new Option(text, text)));
      if (names.includes(kept)) menu.value = kept;
    };
    const choose = () => {
      const { x, y } = choices[first.value];
      traces.slice(0, x.length).forEach((trace, index) => {
        trace.x = x[index];
        trace.y = y[second.value][index];
        trace.customdata = x[index].map(() => about[index]);
      });
      draw(document.getElementById(`plot-${name}`));
    };
    fill(first, Object.keys(choices));
    fill(second, Object.keys(choices[first.value].y));
    first.addEventListener("change", choose);
    second.addEventListener("change", choose);
  }

  // Tables --------------------------------------------------------------------------------------------------------

  const keyOf = (row, column) => {
    const key = row.children[column].dataset.key;
    return key === undefined ? null : key;
  };

  function compare(a, b, sign) {
    if (a === null || b === null) return (a === null) - (b === null); // what is not there comes last in either order
    const [x, y] = [Number(a), Number(b)];
    const both = a !== "" && b !== "" && !Number.isNaN(x) && !Number.isNaN(y);
    return sign * (both ? x - y : a.localeCompare(b, undefined, { numeric: true }));
  }

  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...table.tBodies[0].rows];
        rows.sort((a, b) => compare(keyOf(a, column), keyOf(b, column), down ? -1 : 1));
        table.tBodies[0].append(...rows);
      });
    });
  }

  for (const input of document.querySelectorAll("[data-filter]")) {
    const rows = [...document.getElementById(`table-${input.dataset.filter}`).tBodies[0].rows];
    const texts = rows.map((row) => `${row.id} ${row.textContent}`.toLowerCase());
    const count = document.querySelector(`[data-count="${input.dataset.filter}"]`);
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, index) => {
        row.hidden = !words.every((word) => texts[index].includes(word));
        shown += !row.hidden;
      });
      count.textContent = words.length ? `${shown} of ${rows.length}` : "";
    });
  }

  // Runs ----------------------------------------------------------------------------------------------------------

  const dialog = document.getElementById("run-dialog");
  const element = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
  const shown = (value) =>
    typeof value !== "number" ? value ?? "" : Number.isInteger(value) ? value.toLocaleString("en") : String(Number(value.toPrecision(5)));

  function line(tag, values) {
    const row = document.createElement("tr");
    row.append(...values.map((value, index) => element(index ? tag : "th", shown(value))));
    row.firstChild.className = "word";
    return row;
  }

  function showRun(run) {
    const { lines, domains } = details.runs[run];
    dialog.querySelector("h2").textContent = `Run ${run}`;
    dialog.querySelector("dl").replaceChildren(...lines.flatMap(([name, text]) => [element("dt", name), element("dd", text)]));
    dialog.querySelector("thead").replaceChildren(line("th", details.columns));
    dialog.querySelector("tbody").replaceChildren(...domains.map((values) => line("td", values)));
    for (const row of document.querySelectorAll("tr.found")) row.classList.remove("found");
    document.getElementById(`run-${run}`)?.classList.add("found");
    if (!dialog.open) dialog.showModal();
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-run]");
    if (link && Object.hasOwn(details.runs, link.dataset.run)) {
      event.preventDefault();
      showRun(link.dataset.run);
    }
    if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
  });
})();

// Starts every explorer of the page and adds what Vega's own controls lack: spoken epochs, groups, files to save.
// Vega's expressions are interpreted (ast), not evaluated as code, so that the page's policy can forbid all other scripts.
const speak = (controls, view) => {
  const slider = controls.querySelector("input[type=range]");
  if (!slider) return;
  const shown = document.createElement("output");
  shown.setAttribute("aria-hidden", "true"); // a screen reader reads the slider's own value
  slider.closest("label").append(shown);
  const tell = () => {
    shown.textContent = `epoch ${view.signal("epochs")[view.signal("probe")]}`;
    slider.setAttribute("aria-valuetext", shown.textContent);
  };
  view.addSignalListener("probe", tell);
  tell();
};

const group = (controls, { groups } = {}) => {
  if (!groups) return;
  const list = controls.querySelector(`select[name="${groups.of}"]`);
  if (!list) return;
  const parts = new Map();
  [...list.options].forEach((option, i) => {
    const name = groups.names[i];
    if (!parts.has(name)) {
      const part = document.createElement("optgroup");
      part.label = name;
      parts.set(name, part);
      list.append(part);
    }
    parts.get(name).append(option);
  });
};

const table = (view, { data, where, of, along, values }) => {
  const quoted = cell => `"${String(cell ?? "").replaceAll('"', '""')}"`;
  const [dim, labels] = [along[0], view.signal(along[1])];
  const rows = [[...of.map(([name]) => name), dim, ...values.map(([name]) => name)]];
  const chosen = row => Object.entries(where).every(([field, signal]) => row[field] === view.signal(signal));
  for (const row of view.data(data).filter(chosen))
    labels.forEach((label, i) => {
      const numbers = values.map(([, field]) => row[field][i]);
      if (numbers[0] == null) return;
      rows.push([...of.map(([, field, signal]) => view.signal(signal)[row[field]]), label, ...numbers]);
    });
  return rows.map(row => row.map(quoted).join(",")).join("\r\n") + "\r\n";
};

const picture = async view =>
  // Colours follow the page by variables whose fallbacks are those of light paper: a saved picture has the fallbacks.
  (await view.toSVG()).replace(/var\(--[\w-]+, ?([^)]+)\)/g, "$1").replace("<svg ", '<svg style="background:#fff" ');

const save = (controls, view, { table: plan } = {}, key) => {
  const button = (ending, kind, make) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = `Save as ${ending.toUpperCase()}`;
    made.addEventListener("click", async () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([await make()], { type: kind }));
      link.download = `${key}.${ending}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
    return made;
  };
  const both = document.createElement("span");
  both.className = "save";
  both.append(button("svg", "image/svg+xml", () => picture(view)));
  if (plan) both.append(button("csv", "text/csv", () => table(view, plan)));
  controls.append(both);
};

for (const script of document.querySelectorAll("script[data-explorer]")) {
  const key = script.dataset.explorer, spec = JSON.parse(script.textContent);
  const controls = document.getElementById(`${key}-controls`);
  const options = { mode: "vega", renderer: "svg", ast: true, actions: false, defaultStyle: false, bind: controls };
  vegaEmbed(`#${key}`, spec, options).then(({ view }) => {
    speak(controls, view);
    group(controls, spec.usermeta);
    save(controls, view, spec.usermeta, key);
  });
}

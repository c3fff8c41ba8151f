"use strict";
(() => {
  const all = (selector, from) => Array.from((from || document).querySelectorAll(selector));
  const make = (name, text) => {
    const made = document.createElement(name);
    if (name === "button") made.type = "button";
    if (text !== undefined) made.textContent = text;
    return made;
  };

  // Theme: the button shows the other one.
  const root = document.documentElement;
  const theme = document.getElementById("theme");
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches);
  const showTheme = () => theme.setAttribute("aria-pressed", String(isDark()));
  theme.hidden = false;
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    showTheme();
  });
  prefersDark.addEventListener("change", showTheme);
  showTheme();

  // Tables: each heading becomes a button that sorts by its column.
  const keyOf = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
    return cell.classList.contains("n") ? null : cell.textContent.trim();
  };
  const order = (one, other) => {
    if (typeof one === "number" && typeof other === "number") return one - other;
    return String(one).localeCompare(String(other), "en", { numeric: true });
  };
  const sortBy = (table, column) => {
    const heads = Array.from(table.tHead.rows[0].cells);
    const head = heads[column];
    const isNumber = head.classList.contains("n");
    const before = head.getAttribute("aria-sort");
    const falls = before === null ? isNumber : before === "ascending";
    for (const each of heads) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falls ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = Array.from(body.rows, (row) => [keyOf(row, column), row]);
    rows.sort(([one], [other]) => {
      if (one === null || other === null) return (one === null) - (other === null);
      return falls ? order(other, one) : order(one, other);
    });
    body.append(...rows.map(([, row]) => row));
  };
  for (const table of all("table.sortable")) {
    Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
      const button = make("button", head.textContent);
      button.addEventListener("click", () => sortBy(table, column));
      head.replaceChildren(button);
    });
  }

  // What is shown beside the pointer, or beside a point that the keyboard has reached.
  const tip = document.getElementById("tip");
  const hide = () => {
    tip.hidden = true;
    for (const ring of all(".ring")) ring.remove();
  };
  const show = (text, x, y) => {
    tip.textContent = text;
    tip.hidden = false;
    const right = Math.max(4, Math.min(x + 14, innerWidth - tip.offsetWidth - 4));
    const below = y + 18 + tip.offsetHeight > innerHeight ? y - tip.offsetHeight - 12 : y + 18;
    tip.style.left = `${right + scrollX}px`;
    tip.style.top = `${Math.max(4, below) + scrollY}px`;
  };
  // Marks have their text in <title>, for readers without this script.
  for (const title of all(".mark > title, .line > title")) {
    const mark = title.parentElement;
    mark.dataset.tip = title.textContent;
    title.remove();
  }
  for (const svg of all(".plot svg")) {
    if (svg.dataset.kind !== "lines") {
      svg.addEventListener("pointermove", (event) => {
        const mark = event.target.closest("[data-tip]");
        if (mark) show(mark.dataset.tip, event.clientX, event.clientY);
        else hide();
      });
    }
    svg.addEventListener("pointerleave", hide);
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
  });

  // Lines: the nearest point is shown; arrows move along a line and from line to line.
  const pointsOf = (path) => {
    const places = (path.getAttribute("d") || "").match(/-?[\d.]+ -?[\d.]+/g) || [];
    const values = path.dataset.values.split(" ");
    return places.map((place, index) => {
      const [x, y] = place.split(" ").map(Number);
      const [epoch, value] = values[index].split(":");
      return { x, y, text: `${path.dataset.tip}: epoch ${epoch}, ${value}` };
    });
  };
  const mark = (svg, point) => {
    hide();
    const ring = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    ring.setAttribute("class", "ring");
    ring.setAttribute("cx", point.x);
    ring.setAttribute("cy", point.y);
    ring.setAttribute("r", "5");
    svg.append(ring);
    const at = new DOMPoint(point.x, point.y).matrixTransform(svg.getScreenCTM());
    show(point.text, at.x, at.y);
  };
  for (const svg of all('svg[data-kind="lines"]')) {
    const drawn = all(".line", svg).map((path) => ({ path, points: pointsOf(path) }));
    const visible = () => drawn.filter(({ path, points }) => !path.hasAttribute("hidden") && points.length);
    svg.addEventListener("pointermove", (event) => {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      let nearest = null;
      let least = Infinity;
      for (const { points } of visible()) {
        for (const point of points) {
          const distance = (point.x - at.x) ** 2 + (point.y - at.y) ** 2;
          if (distance < least) [nearest, least] = [point, distance];
        }
      }
      if (nearest) mark(svg, nearest);
      else hide();
    });
    let line = 0;
    let place = -1;
    const box = svg.parentElement;
    box.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
      const shown = visible();
      if (!(event.key in moves) || !shown.length) return;
      event.preventDefault();
      const [down, right] = moves[event.key];
      line = (line + down + shown.length) % shown.length;
      const { points } = shown[line];
      place = Math.max(0, Math.min(points.length - 1, place + right));
      mark(svg, points[place]);
    });
    box.addEventListener("blur", hide);
  }

  // Legends: each name becomes a button that hides and shows what belongs to it.
  for (const legend of all(".legend")) {
    const scope = document.getElementById(legend.dataset.for);
    for (const entry of Array.from(legend.children)) {
      const button = make("button");
      button.append(...entry.childNodes);
      button.setAttribute("aria-pressed", "true");
      button.addEventListener("click", () => {
        const isShown = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(isShown));
        for (const drawn of all(`[data-series="${entry.dataset.toggles}"]`, scope)) {
          drawn.toggleAttribute("hidden", !isShown);
        }
        hide();
      });
      entry.append(button);
    }
  }
})();

"use strict";
const figures = JSON.parse(document.getElementById("figures").textContent);
const said = document.getElementById("said");
let silence = 0;

function say(text) {
  said.textContent = text;
  said.classList.add("on");
  clearTimeout(silence);
  silence = setTimeout(() => said.classList.remove("on"), 1800);
}

// A page opened from a disk may have no clipboard of its own: then the old way.
function copyByHand(text) {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

async function copy(id) {
  let done = false;
  try {
    await navigator.clipboard.writeText(id);
    done = true;
  } catch {
    done = copyByHand(id);
  }
  say(done ? `Copied trial id ${id}` : `Trial id ${id}`);
}

const config = {
  responsive: true,
  displaylogo: false,
  displayModeBar: innerWidth > 700,
  modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
};
for (const [name, figure] of Object.entries(figures)) {
  const chart = document.getElementById(name);
  Plotly.newPlot(chart, figure.data, figure.layout, config).then(() => {
    chart.on("plotly_click", (event) => {
      const id = event.points[0].customdata;
      if (id) copy(id);
    });
  });
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("button.id");
  if (button) copy(button.dataset.id);
});

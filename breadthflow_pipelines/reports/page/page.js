// Draws the charts from the data that the page itself holds, as soon as it is opened.
"use strict";

(async () => {
  const failed = document.getElementById("failed");
  try {
    const bytes = Uint8Array.from(atob(document.getElementById("data").textContent), (letter) => letter.charCodeAt(0));
    const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const data = await new Response(plain).json();
    breadthflowCharts(data, breadthflowEvidence(data));
    document.documentElement.dataset.drawn = "yes";
  } catch (error) {
    failed.hidden = false;
    failed.textContent = "The charts cannot be drawn: " + error.message + ". They need a browser of 2023 or newer.";
    throw error;
  }
})();

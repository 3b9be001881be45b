"""Debian's Chromium without a window, for the status page: what it shows, asks for and complains of."""
import json
import os
import shutil

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from sandbox import children_of, process_name, wait_until

OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
           "--disable-background-networking", "--disable-component-update", "--disable-sync")

# Runs before the page's own script: keeps each answer that the page gets, as it gets it, and each break of the
# Content-Security-Policy. window.spoil(path, answer) may change an answer before the page sees it.
WITNESS = """
    window.answers = {"/status.json": [], "/history.json": []};
    window.violations = [];
    document.addEventListener("securitypolicyviolation", event => window.violations.push(event.violatedDirective));
    const fetched = window.fetch;
    window.asked = 0;
    window.fetch = async (path, ...options) => {
        window.asked++;
        const answer = await fetched(path, ...options);
        const kept = await answer.clone().json();
        if (window.spoil)
            window.spoil(path, kept);
        window.answers[path].push(kept);
        return new Response(JSON.stringify(kept), {status: answer.status});
    };
"""


class Browser:
    def __init__(self, directory):
        """Everything that it writes is in that directory, which is its own and goes with it."""
        self.directory = directory
        self.script = None
        directory.mkdir()
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for option in (*OPTIONS, f"--user-data-dir={directory / 'profile'}"):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        environment = dict(os.environ, HOME=str(directory), TMPDIR=str(directory))
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver", env=environment))
        self.command("Network.enable")

    def close(self):
        self.driver.quit()
        wait_until(lambda: not any(process_name(pid).startswith("chrom") for pid in children_of(os.getpid())),
                   "those that Chromium has begun are gone")
        shutil.rmtree(self.directory)

    def command(self, name, **parameters):
        return self.driver.execute_cdp_cmd(name, parameters)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def look(self, width=1200, dark=False):
        """How wide the window is, and which colours its owner likes."""
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1,
                     mobile=width < 600)
        self.command("Emulation.setEmulatedMedia",
                     features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def open(self, url, before=""):
        """Opens it, with another script that runs before the page's; waits until both answers are shown."""
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        if self.script:
            self.command("Page.removeScriptToEvaluateOnNewDocument", identifier=self.script)
        self.script = self.command("Page.addScriptToEvaluateOnNewDocument", source=WITNESS + before)["identifier"]
        self.driver.get(url)
        self.wait("""const {now, end} = document.getElementById('main').dataset;
            return now && (end || answers['/history.json'].some(answer => answer.end === null))""")

    def wait(self, script, *arguments):
        return wait_until(lambda: self.run(script, *arguments), script, pause=0.05)

    def page(self):
        """What the page says at one moment, and the two answers that it says it of: an object of all texts by id, the
        rows of each table that is to be seen (a list of cells for each, what is below one another in a cell parted by
        |), the charts by the words that stand for them, status and history."""
        return self.run("""
            const words = cell => {
                const parts = Array.from(cell.querySelectorAll(":scope > :not(svg, .bar)"), node => node.textContent);
                return parts.filter(text => text).join("|") || cell.textContent;
            };
            const all = (selector, what) => Object.fromEntries(
                Array.from(document.querySelectorAll(selector), node => [node.id, what(node)]));
            const main = document.getElementById("main");
            const rows = table => table.hidden ? []
                : Array.from(table.tBodies[0].rows, row => Array.from(row.cells, words));
            return {
                text: all("[id]", node => node.textContent),
                rows: all("table", rows),
                charts: Array.from(document.querySelectorAll("svg"), chart => chart.getAttribute("aria-label")),
                status: answers["/status.json"].find(answer => answer.now === Number(main.dataset.now)),
                history: answers["/history.json"].find(answer => answer.end === Number(main.dataset.end)),
            };""")

    def complaints(self):
        """What stands in its console since the page was opened."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self):
        """The addresses that were asked for since the page was opened."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]

/*
 * status.js: the status page. Asks the daemon for /status.json and /history.json (src/daemon/API.md) and shows them.
 *
 * Whatever a client sent may stand in a name, so all of it goes into the page as text, never as markup, and characters
 * that cannot be seen are spelt out. Nodes that are there already are kept, so that a selection or the focus stays.
 */
const STATUS_MS = 2000;
const HISTORY_MS = 10000;
const PATIENCE_MS = 5000; // without an answer for so long it does not answer
const HOUR_S = 3600;
const BARS = 60;          // of a chart of refusals: a minute each
const SCOPES_FIRST = 12;  // shown before the reader asks for all
const NEARLY_FULL = 0.8;
const LETTERS_MOST = 40;  // of a name within a sentence
const SVG = "http://www.w3.org/2000/svg";

let report = null;        // the last answer of /status.json
let past = null;          // and of /history.json
let allScopes = false;

const at = id => document.getElementById(id);

/* ---- Words ---- */

const grouped = new Intl.NumberFormat("en");
const number = value => Number.isFinite(value) ? grouped.format(value) : "…";
const times = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;
const percent = (some, all) => some > 0 ? ` (${Number((100 * some / all).toPrecision(2))} %)` : "";

/* Line feeds, marks that turn the direction of writing, and whatever else has no shape of its own. */
const spelt = text => String(text).replace(/[\p{Cc}\p{Cf}\p{Cn}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu,
    letter => `\\u{${letter.codePointAt(0).toString(16)}}`);

function duration(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
    const first = units.findIndex(([, size]) => whole >= size);
    if (first < 0)
        return "0 s";
    return units.slice(first, first + 2)
        .map(([unit, size], place) => [Math.floor(place ? whole % units[first][1] / size : whole / size), unit])
        .filter(([count], place) => !place || count).map(([count, unit]) => `${count} ${unit}`).join(" ");
}

function latency(seconds) {
    if (seconds === null)
        return "–";
    const [scale, unit] = seconds < 1e-3 ? [1e6, "µs"] : seconds < 1 ? [1e3, "ms"] : [1, "s"];
    return `${Number((seconds * scale).toPrecision(3))} ${unit}`;
}

/* Local time; the date only when it is not today's. */
function moment(time) {
    const [date, clock] = new Date(time * 1000).toLocaleString("sv-SE").split(" ");
    return date === new Date().toLocaleDateString("sv-SE") ? clock : `${date} ${clock}`;
}

/* ---- Nodes ---- */

function say(node, text) {
    if (node.textContent !== String(text))
        node.textContent = text;
}

function mark(node, name, value) {
    if (node.getAttribute(name) !== String(value))
        node.setAttribute(name, value);
}

function make(parent, tag, look = "") {
    const node = document.createElement(tag);
    node.className = look;
    return parent.appendChild(node);
}

/* The child of that class, made when it is not there yet. */
function part(parent, tag, look) {
    return parent.querySelector(`:scope > .${look}`) || make(parent, tag, look);
}

function sayName(parent, text, most = Infinity) {
    const name = part(parent, "bdi", "name");
    const letters = Array.from(spelt(text));
    say(name, letters.length > most ? `${letters.slice(0, most - 1).join("")}…` : letters.join(""));
    name.title = spelt(text);
}

function shape(svg, tag, look, attributes) {
    let node = svg.querySelector(`.${look}`);
    if (!node) {
        node = svg.appendChild(document.createElementNS(SVG, tag));
        node.setAttribute("class", look);
    }
    for (const [name, value] of Object.entries(attributes))
        mark(node, name, value);
}

/* The rows of a table, one for each item: columns[i](cell, item) says it. The paragraph behind the table is for when
 * there are none. */
function fill(table, items, columns) {
    const body = table.tBodies[0];
    const heads = table.tHead.rows[0].cells;
    while (body.rows.length > items.length)
        body.deleteRow(-1);
    items.forEach((item, index) => {
        const row = body.rows[index] || body.insertRow();
        if (!row.cells.length) {
            mark(row, "role", "row");
            columns.forEach((_, place) => {
                const cell = make(row, place ? "td" : "th", heads[place].className);
                mark(cell, "role", place ? "cell" : "rowheader");
                mark(cell, "data-label", heads[place].textContent);
            });
        }
        columns.forEach((show, place) => show(row.cells[place], item));
    });
    table.hidden = !items.length;
    table.nextElementSibling.hidden = Boolean(items.length);
}

const count = (field, look = "") => (cell, item) => {
    const value = item[field];
    say(cell, number(value));
    cell.className = `number ${look} ${value ? "" : "zero"}`;
};

/* ---- Charts: an hour from left to right, the newest sample at the right edge ---- */

const samplesOfHour = () => Math.round(HOUR_S / past.interval);
const momentOf = samplesAgo => moment(past.end - samplesAgo * past.interval);

function chart(cell, width, label) {
    let svg = cell.querySelector("svg");
    if (!svg) {
        svg = cell.appendChild(document.createElementNS(SVG, "svg"));
        mark(svg, "role", "img");
        mark(svg, "preserveAspectRatio", "none");
    }
    mark(svg, "viewBox", `0 0 ${width} 100`);
    mark(svg, "aria-label", label);
    return svg;
}

/* What a chart says of the place under the pointer, beside it: svg.reading(share of the width) is the text. */
function showReading(event) {
    const svg = event.target.closest ? event.target.closest("svg") : null;
    const reading = at("reading");
    const box = svg && svg.getBoundingClientRect();
    say(reading, svg && svg.reading ? svg.reading((event.clientX - box.left) / box.width) : "");
    reading.hidden = !reading.textContent;
    if (!reading.hidden) {
        reading.style.left = `${Math.max(0, Math.min(event.clientX + 12, innerWidth - reading.offsetWidth - 4))}px`;
        reading.style.top = `${box.top - reading.offsetHeight - 4}px`;
    }
}

/* Sessions as a line under the cap, broken where they are not known; a sample stands for the interval before it. */
function drawSessions(cell, samples, cap, label) {
    const width = samplesOfHour();
    const svg = chart(cell, width, label);
    if (svg.drawn === samples && svg.cap === cap)
        return;
    [svg.drawn, svg.cap] = [samples, cap];
    const top = 1.1 * Math.max(cap || 0, 1, ...samples);
    const y = value => (100 - 100 * value / top).toFixed(1);
    const first = width - samples.length;
    let line = "", area = "", begun = null;
    samples.concat(null).forEach((value, index) => {
        const x = first + index;
        if (value === null) {
            area += begun === null ? "" : `V100H${begun}Z`;
            begun = null;
            return;
        }
        const step = begun === null ? `M${x} ${y(value)}H${x + 1}` : `L${x + 1} ${y(value)}`;
        line += step;
        area += step;
        begun = begun === null ? x : begun;
    });
    svg.reading = share => {
        const index = Math.ceil(share * width) - 1 - first;
        const value = samples[index];
        return value === undefined || value === null ? ""
            : `${momentOf(samples.length - 1 - index)}: ${times(value, "session", "sessions")}`;
    };
    shape(svg, "path", "area", {d: area});
    shape(svg, "path", "line", {d: line});
    const height = y(cap || 0);
    shape(svg, "line", "cap", {x1: 0, x2: width, y1: height, y2: height, visibility: cap ? "visible" : "hidden"});
}

/* The sum of each minute, the last one at the end. */
function minutes(samples) {
    const sums = new Array(BARS).fill(0);
    const each = samplesOfHour() / BARS;
    samples.forEach((value, index) => {
        const minute = BARS - 1 - Math.floor((samples.length - 1 - index) / each);
        if (minute >= 0)
            sums[minute] += value || 0;
    });
    return sums;
}

/* Refusals as bars, and on top of them, hollow, what would have been refused. */
function drawRefusals(cell, series, name) {
    const refused = minutes(series.refused);
    const monitored = minutes(series.monitored);
    const most = Math.max(...refused.map((value, minute) => value + monitored[minute]));
    const y = value => (100 * value / Math.max(most, 1)).toFixed(1);
    const bars = (values, below) => values.map((value, minute) => value
        ? `M${minute + 0.12} ${(100 - y(below[minute])).toFixed(1)}v-${y(value)}h.76v${y(value)}z` : "").join("");
    const svg = chart(cell, BARS, `${name}: refusals a minute in the last hour, ${number(most)} at most`);
    svg.reading = share => {
        const minute = Math.min(BARS - 1, Math.max(0, Math.floor(share * BARS)));
        const begin = moment(past.end - (BARS - minute) * HOUR_S / BARS);
        return `${begin}, one minute: ${number(refused[minute])} refused, ${number(monitored[minute])} in dry run`;
    };
    shape(svg, "path", "refused", {d: bars(refused, new Array(BARS).fill(0))});
    shape(svg, "path", "monitored", {d: bars(monitored, refused)});
    say(part(cell, "div", "note"), `${number(most)} a minute at most`);
}

/* ---- What the numbers mean ---- */

const sum = values => values.reduce((total, value) => total + value, 0);
const seriesOf = (list, field, name) => past ? past[list].find(series => series[field] === name) : undefined;

/* What a limit did since the last sample. */
function since(limit, what) {
    const series = seriesOf("limits", "limit", limit.limit);
    return Math.max(0, limit[what] - (series ? series[`${what}_before`] : 0));
}

/* What a limit did in the last so many seconds; NaN: not known yet. Of a daemon that is younger than that it is known
 * exactly. */
function inLast(seconds, limit, what) {
    if (report.now - report.started < seconds)
        return limit[what];
    if (!past)
        return NaN;
    const series = seriesOf("limits", "limit", limit.limit);
    const samples = series ? series[what].slice(-Math.round(seconds / past.interval)) : [];
    return sum(samples) + since(limit, what);
}

/* The three items with the most, as pieces for sayLines(): names, and how many. Of a list that is not whole it is not
 * known how many more there are. */
function ranking(items, name, value, whole) {
    const ranked = items.filter(item => item[value] > 0).sort((a, b) => b[value] - a[value]);
    const pieces = ranked.slice(0, 3).flatMap((item, place) =>
        [place ? ", " : "", {name: item[name]}, ` ${number(item[value])}`]);
    return ranked.length > 3 ? [...pieces, whole ? ` and ${number(ranked.length - 3)} more` : " and more"] : pieces;
}

/* ---- The sections ---- */

/* A line for each [title, pieces] with pieces, which are texts and {name}s; made anew only when they say something
 * else. */
function sayLines(parent, lines) {
    const wanted = JSON.stringify(lines);
    if (parent.dataset.lines === wanted)
        return;
    parent.dataset.lines = wanted;
    parent.replaceChildren();
    for (const [title, pieces] of lines.filter(line => line[1].length)) {
        const line = make(parent, "div");
        say(make(line, "dt"), title);
        const text = make(line, "dd");
        for (const piece of pieces) {
            if (piece.name === undefined)
                text.append(piece);
            else
                sayName(make(text, "span"), piece.name, LETTERS_MOST);
        }
    }
}

/* The answer at the top: whether mail is refused now or was in the last hour, by what, and whose. */
function showVerdict(limits, refused, monitored) {
    const dry = report.mode === "monitor";
    const lately = report.limits.map(limit => ({limit: limit.limit, refused: inLast(60, limit, "refused")}));
    const minute = sum(lately.map(limit => limit.refused));
    let look = "", title = "Asking tidegated …";
    if (minute > 0)
        [look, title] = ["refusing", `Refusing now: ${times(minute, "refusal", "refusals")} in the last minute`];
    else if (refused > 0)
        [look, title] = ["past", `${times(refused, "refusal", "refusals")} in the last hour, none in the last minute`];
    else if (dry && monitored >= 0)
        [look, title] = ["dry", `Dry run: nobody is refused, ${number(monitored)} would have been in the last hour`];
    else if (refused === 0)
        [look, title] = ["quiet", "Nobody was refused in the last hour"];
    const what = refused > 0 ? "refused" : "monitored";
    at("verdict").className = look;
    say(at("verdict-title"), title);
    sayLines(at("verdict-text"), [
        minute > 0 ? ["By limit, last minute", ranking(lately, "limit", "refused", true)]
            : ["By limit, last hour", ranking(limits, "limit", "refused", true)],
        ["In dry run, last hour", ranking(limits, "limit", "monitored", true)],
        ["Clients, last hour", ranking(report.clients.refused, "client", what, false)],
        ["Domains, last hour", ranking(report.domains.refused, "domain", what, false)],
        ["Full now", ranking(report.scopes.filter(isFull), "scope", "sessions", !report.scopes_left_out)],
    ]);
    document.title = `${look === "refusing" ? "▲ refusing" : dry ? "dry run" : "nobody refused"} – tidegate`;
}

function showTop(refused, monitored) {
    const dry = report.mode === "monitor";
    const {open, pending, room} = report.sessions;
    const {limits, operator, limits_monitored, operator_monitored} = report.bans;
    const watched = limits_monitored + operator_monitored;
    say(at("host"), location.host);
    say(at("mode"), dry ? "Dry run (mode = monitor): nothing is refused" : "On duty (mode = block)");
    at("mode").className = dry ? "pill dry" : "pill";
    say(at("about"), `Version ${spelt(report.version)}, up ${duration(report.now - report.started)}. ` +
        `${spelt(report.file)} read ${moment(report.reloaded)}.`);
    say(at("tile-sessions"), number(open));
    say(at("note-sessions"), `room for ${number(room)}` +
        (pending ? `; ${number(pending)} of them refused, yet to be told` : ""));
    say(at("tile-refused"), number(refused));
    say(at("note-refused"), "connections and commands");
    say(at("tile-monitored"), number(monitored));
    say(at("note-monitored"), "in the last hour; these were let through");
    say(at("tile-bans"), number(limits + operator));
    say(at("note-bans"), `${number(limits)} by limits, ${number(operator)} by an administrator` +
        (watched ? `; ${number(watched)} in dry run, let through` : ""));
}

const isFull = scope => scope.max !== null && scope.sessions >= scope.max;

function showScopes() {
    const listed = report.scopes;
    const shown = listed.filter((scope, place) => allScopes || place < SCOPES_FIRST ||
        (scope.max !== null && scope.sessions >= NEARLY_FULL * scope.max));
    const known = scope => seriesOf("scopes", "scope", scope.scope);
    const peak = scope => Math.max(scope.sessions, ...(known(scope) || {sessions: []}).sessions);
    const cap = (scope, before, none) => scope.max === null ? none : before + number(scope.max);
    fill(at("scopes"), shown, [
        (cell, scope) => {
            sayName(cell, scope.scope);
            say(part(cell, "div", "note"), scope.limit);
        },
        (cell, scope) => {
            const share = scope.max === null ? 0 : Math.min(1, scope.sessions / scope.max);
            cell.className = `number ${isFull(scope) ? "full" : share >= NEARLY_FULL ? "near" : ""}`;
            say(part(cell, "span", "count"), `${number(scope.sessions)} ${cap(scope, "of ", "(no cap)")}`);
            const bar = part(cell, "div", "bar");
            bar.hidden = scope.max === null;
            part(bar, "i", "filled").style.width = `${100 * share}%`;
            say(part(cell, "div", "note"), [isFull(scope) ? "full" : "",
                scope.pending ? `${number(scope.pending)} refused, yet to be told` : ""].filter(Boolean).join(", "));
        },
        (cell, scope) => {
            const series = known(scope);
            say(part(cell, "div", "note"), past && !series ? "not recorded" : "");
            if (series)
                drawSessions(cell, series.sessions, scope.max, `${spelt(scope.scope)}: sessions over the last hour, ` +
                    `now ${number(scope.sessions)}, at most ${number(peak(scope))}, ${cap(scope, "cap ", "no cap")}`);
        },
        (cell, scope) => say(cell, known(scope) ? number(peak(scope)) : "–"),
    ]);
    const more = at("scopes-more");
    more.hidden = listed.length <= SCOPES_FIRST;
    say(more, allScopes ? "Show fewer scopes" : `Show all ${number(listed.length)} scopes`);
    mark(more, "aria-expanded", allScopes);
    const out = report.scopes_left_out;
    say(at("scopes-left-out"), out ? `${times(out, "more is", "more are")} in the metrics alone.` : "");
}

function showLimits(limits) {
    const active = limits.filter(limit => limit.refused || limit.monitored)
        .sort((a, b) => b.refused - a.refused || b.monitored - a.monitored);
    fill(at("limits"), active, [
        (cell, limit) => sayName(cell, limit.limit),
        count("refused", "refused"),
        count("monitored", "monitored"),
        (cell, limit) => {
            const series = seriesOf("limits", "limit", limit.limit) || {refused: [], monitored: []};
            if (past)
                drawRefusals(cell, series, spelt(limit.limit));
        },
        (cell, limit) => say(cell, sinceStart(limit.total)),
    ]);
    const quiet = limits.filter(limit => limit.refused + limit.monitored === 0 && sinceStart(limit.total));
    sayLines(at("limits-quiet"), [["Not in the last hour", quiet.flatMap((limit, place) =>
        [place ? ", " : "", {name: limit.limit}, ` (${sinceStart(limit.total)})`])]]);
}

const sinceStart = limit => [["refused", "refused"], ["monitored", "in dry run"], ["scored", "scored"],
    ["untracked", "not tracked"], ["bans", "bans"]]
    .filter(([field]) => limit[field]).map(([field, word]) => `${word} ${number(limit[field])}`).join(", ");

function showBans() {
    const {limits, operator, limits_monitored, operator_monitored, list} = report.bans;
    fill(at("bans"), list, [
        (cell, ban) => {
            sayName(cell, ban.client === null ? ban.key : ban.client);
            say(part(cell, "div", "note"), ban.per.replaceAll("_", " "));
        },
        (cell, ban) => {
            sayName(cell, ban.limit === "ban" ? "an administrator" : ban.limit);
            say(part(cell, "div", "note"), ban.action === "monitor" ? "dry run: let through" : spelt(ban.scope));
        },
        (cell, ban) => say(cell, ban.since === null ? "–" : `${duration(ban.since)} ago`),
        (cell, ban) => say(cell, duration(ban.left)),
        (cell, ban) => say(part(cell, "code", "lift"), spelt(ban.lift)),
    ]);
    const all = limits + operator + limits_monitored + operator_monitored;
    say(at("bans-more"), all > list.length && list.length
        ? `The ${number(list.length)} with the most time left, of ${number(all)}. All of them: tidegate bans` : "");
}

function showKeys() {
    const name = field => (cell, item) => sayName(cell, item[field]);
    const refused = [count("refused", "refused"), count("monitored", "monitored")];
    fill(at("clients-refused"), report.clients.refused,
        [name("client"), ...refused, count("connections"), count("messages"), count("sessions")]);
    fill(at("clients-busiest"), report.clients.busiest,
        [name("client"), count("connections"), count("messages"), count("sessions"), ...refused]);
    for (const kind of ["clients", "domains"]) {
        const {room, evicted} = report[kind];
        say(at(`${kind}-evicted`), evicted
            ? `Room for ${number(room)}, the busiest stay: ${number(evicted)} evicted since the start.` : "");
    }
    fill(at("domains-refused"), report.domains.refused, [name("domain"), ...refused, count("messages")]);
    fill(at("domains-busiest"), report.domains.busiest, [name("domain"), count("messages"), ...refused]);
}

/* Facts about the daemon: title, value, note, and whether it wants looking at. */
function showFacts() {
    const {table, waiting, latency: speed} = report;
    const events = Object.entries(report.events).map(([kind, told]) => `${kind} ${number(told)}`).join(", ");
    const facts = [
        ["Time for one event",
            speed.count ? `${latency(speed.p50)} or less for half, ${latency(speed.p99)} for 99 of 100` : "none yet",
            `${times(speed.count, "event", "events")} since the start`],
        ["Table of clients and other keys",
            `${number(table.keys)} of ${number(table.room)}${percent(table.keys, table.room)}`,
            `${number(table.evicted)} had to go early, ${number(table.untracked)} found no room`, table.untracked > 0],
        ["Waiting out a delay", waiting.max ? `${number(waiting.now)} of ${number(waiting.max)}` : number(waiting.now),
            "commands that are answered late on purpose", waiting.max > 0 && waiting.now >= waiting.max],
        ["Limits being crossed", number(report.crossings), "now, by so many clients or keys"],
        ["Exempt connections", number(report.exempted), "since the start"],
        ["Turned away unheard", number(report.turned_away), "connections of the mail server, for want of descriptors",
            report.turned_away > 0],
        ["Policy service and filter", `${number(report.claimed)} claimed, ${number(report.lapsed)} lapsed`,
            `reservations since the start; ${times(report.sessions.remembered, "session", "sessions")} remembered`],
        ["Events since the start", events, ""],
    ];
    const list = at("facts");
    facts.forEach(([title, value, note, watch], place) => {
        const fact = list.children[place] || make(list, "div");
        fact.className = watch ? "watch" : "";
        say(part(fact, "dt", "title"), title);
        say(part(fact, "dd", "value"), value);
        say(part(fact, "dd", "note"), note);
    });
}

function show() {
    const limits = report.limits.map(limit => ({limit: limit.limit, total: limit,
        refused: inLast(HOUR_S, limit, "refused"), monitored: inLast(HOUR_S, limit, "monitored")}));
    const refused = sum(limits.map(limit => limit.refused));
    const monitored = sum(limits.map(limit => limit.monitored));
    showVerdict(limits, refused, monitored);
    showTop(refused, monitored);
    showScopes();
    showLimits(limits);
    showBans();
    showKeys();
    showFacts();
    say(at("fresh"), `As of ${moment(report.now)}.`);
    mark(at("main"), "data-now", report.now); // which answers these are
    if (past)
        mark(at("main"), "data-end", past.end);
}

/* ---- Asking ---- */

/* The answer, or an Error that says what the daemon did instead. */
async function ask(path) {
    let answer;
    try {
        answer = await fetch(path, {cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS)});
    } catch {
        throw new Error("does not answer");
    }
    if (!answer.ok)
        throw new Error(`answers with HTTP status ${answer.status}`);
    return answer.json().catch(() => {
        throw new Error("stopped in the middle of its answer");
    });
}

/* The banner is read aloud when it changes: so it says since when, not for how long. */
function complain(trouble) {
    document.body.classList.toggle("stale", Boolean(trouble));
    say(at("banner"), !trouble ? "" : report
        ? `tidegated ${trouble}. What you see is what it said at ${moment(report.now)}.` : `tidegated ${trouble}.`);
    if (!trouble)
        return;
    at("verdict").className = "";
    say(at("verdict-title"), "Whether mail is refused now is not known");
    document.title = "not reachable – tidegate";
}

async function askStatus() {
    try {
        const answer = await ask("/status.json");
        if (report && answer.version !== report.version)
            location.reload(); // this page belongs to another version
        if (report && answer.started !== report.started) {
            past = null;
            askHistory();
        }
        report = answer;
        show();
        complain("");
    } catch (error) {
        complain(error.message);
    }
}

async function askHistory() {
    try {
        const answer = await ask("/history.json");
        past = answer.end === null ? null : answer; // no sample is taken yet
        if (report)
            show();
    } catch {
        // askStatus() tells of it
    }
}

/* Again and again, each time so long after the last answer; not while nobody looks. */
function repeat(asking, pause) {
    let timer = 0, busy = false;
    const turn = async () => {
        clearTimeout(timer);
        if (busy || document.hidden)
            return;
        busy = true;
        await asking();
        busy = false;
        timer = setTimeout(turn, pause);
    };
    document.addEventListener("visibilitychange", turn);
    turn();
}

at("scopes-more").addEventListener("click", () => {
    allScopes = !allScopes;
    showScopes();
});
document.addEventListener("pointermove", showReading);
document.addEventListener("scroll", () => { at("reading").hidden = true; }, {passive: true});
repeat(askHistory, HISTORY_MS);
repeat(askStatus, STATUS_MS);

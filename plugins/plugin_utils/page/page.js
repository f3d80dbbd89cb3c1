'use strict';
/* Draws what stands in #data. Text from the fleet only ever becomes text: no markup is made of strings here. */
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const { words, nodes, sets, states } = data;
  const page = document.getElementById('page');
  const panel = document.getElementById('panel');
  const ELIGIBLE = 1, PRESENT = 2, READY = 4, AVAILABLE = 8, ATTENTION = 16, LISTED = 8, COMPLAINTS = 5;

  /* make('p', {class: 'why'}, 'text', element …) */
  function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
      else if (value === true) element.setAttribute(name, '');
      else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined && child !== ''));
    return element;
  }
  const sign = (state) => make('span', { class: 'sign', 'aria-hidden': 'true' }, states[state][1]);
  const plural = (count, noun) => `${count} ${noun}${count === 1 ? '' : 's'}`;

  const entries = [];  // [set][node]
  sets.forEach((set, of) => {
    entries.push(set.entries.map(([state, reason, revision, wanted, flags, restarts, runtime, number, created], node) => ({
      of, node, set, name: nodes[node], state: words[state], reason: words[reason], revision: words[revision], wanted: words[wanted],
      flags, restarts, runtime: words[runtime], number, created, mood: states[words[state]][0],
    })));
  });
  const all = entries.flat();
  const rank = ['bad', 'unknown', 'waiting', 'going', 'good', 'none'];

  /* ---- time ---- */
  const PARTS = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  function span(seconds) {
    const index = Math.max(0, PARTS.findIndex(([size]) => Math.abs(seconds) >= size));
    if (Math.abs(seconds) < 1) return 'less than 1 s';
    const [size, unit] = PARTS[index];
    const count = Math.floor(Math.abs(seconds) / size);
    const next = PARTS[index + 1];
    const rest = next && count < 3 ? Math.floor((Math.abs(seconds) % size) / next[0]) : 0;
    return `${count} ${unit}${rest ? ` ${rest} ${next[1]}` : ''}`;
  }
  const moment = (at) => new Date(at * 1000).toLocaleString([], { dateStyle: 'medium', timeStyle: 'medium' });
  const clock = (text) => new Date(text).toLocaleTimeString([], { hourCycle: 'h23' });
  const ago = (at) => `${span(data.at - at)} before`;
  const when = document.getElementById('when');
  function tick() {
    const age = Date.now() / 1000 - data.at;
    when.textContent = `as of ${moment(data.at)}${age > 5 ? `, ${span(age)} ago` : ''}`;
    when.classList.toggle('old', age > 3600);
  }
  tick();
  setInterval(tick, 15000);

  /* ---- the bars of the table ---- */
  document.querySelectorAll('tr[data-set]').forEach((row) => {
    const counted = new Map();
    for (const entry of entries[row.dataset.set]) {
      if (entry.mood !== 'none') counted.set(entry.state, (counted.get(entry.state) || 0) + 1);
    }
    const order = Object.keys(states).filter((state) => counted.has(state));
    const parts = make('div', { class: 'parts', title: order.map((state) => `${counted.get(state)} ${state}`).join(', ') });
    for (const state of order) {
      const part = make('i', { class: states[state][0] });
      part.style.flexGrow = counted.get(state);
      parts.append(part);
    }
    row.querySelector('.bar').append(parts);
  });

  /* ---- what needs attention ---- */
  function opener(entry, text) {
    return make('button', { class: 'link', type: 'button', onclick: (event) => show(entry, event.currentTarget) }, text || entry.name);
  }
  /* What reads the same but for times and numbers is one complaint, of however many DaemonSets and nodes. */
  function attention() {
    const groups = new Map();
    for (const entry of all) {
      if (!(entry.flags & ATTENTION)) continue;
      const key = JSON.stringify([entry.state, entry.reason.replace(/\d+/g, '0')]);
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(entry);
    }
    if (!groups.size) return null;
    const order = [...groups.values()].sort((a, b) => rank.indexOf(a[0].mood) - rank.indexOf(b[0].mood) || b.length - a.length);
    const shown = order.length > COMPLAINTS + 1 ? COMPLAINTS : order.length;
    const list = make('ul', { class: 'attention' }, ...order.map((group, index) => complaint(group, index >= shown)));
    const sheet = make('div', { class: 'sheet' }, list);
    if (order.length > shown) {
      const more = make('p', { class: 'more' }, make('button', { class: 'link', type: 'button', onclick: () => {
        list.querySelectorAll('.hidden').forEach((item) => item.classList.remove('hidden'));
        more.remove();
      } }, `Show ${order.length - shown} more`));
      sheet.append(more);
    }
    return make('section', {}, make('h2', {}, 'Needs attention'), sheet);
  }
  function complaint(group, hidden) {
    const [first] = group;
    const members = [...new Map(group.map((entry) => [entry.node, entry])).values()];
    const names = [...new Set(group.map((entry) => entry.set.name))];
    const where = make('p', { class: 'where' });
    const some = members.length > LISTED + 1 ? members.slice(0, LISTED) : members;
    some.forEach((entry, index) => where.append(index ? ', ' : '', opener(entry)));
    if (some.length < members.length) {
      const rest = make('button', { class: 'link', type: 'button', onclick: () => {
        rest.replaceWith(...members.slice(LISTED).flatMap((entry) => [', ', opener(entry)]));
      } }, `and ${members.length - LISTED} more`);
      where.append(' ', rest);
    }
    return make('li', { class: `${first.mood}${hidden ? ' hidden' : ''}` }, sign(first.state),
      make('p', { class: 'what' }, `${first.state[0].toUpperCase()}${first.state.slice(1)}: ${names.join(', ')}`,
        make('span', { class: 'of' }, ` on ${plural(members.length, 'node')}`)),
      first.reason ? make('p', { class: 'why', title: first.reason }, first.reason) : null, where);
  }

  /* ---- the grid ---- */
  const chosen = new Set();
  const view = { text: '', sort: 'worst', form: nodes.length > 60 ? 'wall' : 'list' };
  const grid = make('div', { class: 'sheet' });
  const nothing = make('p', { class: 'nothing', role: 'status' }, 'No node matches.');
  let drawn = [];  // {element, matches()} of whatever may be filtered

  const label = (entry) => `${entry.name}, ${entry.set.name}: ${entry.state}${entry.reason ? `, ${entry.reason}` : ''}`;
  function cell(entry, ...content) {
    return make('button', {
      class: `cell ${entry.mood}`, type: 'button', tabindex: -1, title: label(entry), 'aria-label': label(entry),
      'aria-haspopup': 'dialog', 'data-at': `${entry.of}.${entry.node}`,
    }, ...content);
  }
  const worst = (entry) => rank.indexOf(entry.mood) - (entry.flags & ATTENTION ? 10 : 0);
  /* The places of the nodes; the worst first by what is to be seen of each. */
  function ordered(shown) {
    const order = nodes.map((_name, index) => index);
    if (view.sort === 'name') order.sort((a, b) => nodes[a].localeCompare(nodes[b], undefined, { numeric: true }));
    if (view.sort === 'worst') {
      const ranks = order.map((node) => Math.min(...shown.map((of) => worst(entries[of][node]))));
      order.sort((a, b) => ranks[a] - ranks[b] || a - b);
    }
    return order;
  }
  const fits = (entry) => !chosen.size || chosen.has(entry.state);
  const named = (entry) => !view.text || `${entry.name} ${entry.reason} ${entry.revision}`.toLowerCase().includes(view.text);

  function draw() {
    drawn = [];
    grid.className = `sheet ${view.form} ${sets.length > 7 ? 'many' : sets.length > 4 ? 'several' : ''}`;
    grid.replaceChildren(...(view.form === 'wall' ? wall() : list()), nothing);
    grid.style.setProperty('--columns', sets.length);
    filter();
  }
  function list() {
    const head = make('div', { class: 'row head', 'aria-hidden': 'true' }, make('span', {}, 'Node'), ...sets.map((set) => make('span', { title: `${set.namespace}/${set.name}` }, set.name)));
    return [head, ...ordered([...sets.keys()]).map((node) => {
      const here = sets.map((_set, of) => entries[of][node]);
      const row = make('div', { class: 'row' }, make('span', { class: 'name' }, nodes[node]), ...here.map((entry) => cell(entry,
        sign(entry.state), make('span', { class: 'word' }, entry.state),
        make('span', { class: 'hash mono' }, entry.revision.slice(0, 7)), make('span', { class: 'set' }, entry.set.name))));
      drawn.push({ element: row, matches: () => here.some((entry) => fits(entry) && named(entry)) });
      return row;
    })];
  }
  function wall() {
    return sets.map((set, of) => {
      const tiles = make('div', { class: 'tiles' });
      for (const node of ordered([of])) {
        const entry = entries[of][node];
        if (entry.mood === 'none' && !(entry.flags & ELIGIBLE) && view.sort !== 'inventory') continue;
        const tile = cell(entry, sign(entry.state));
        drawn.push({ element: tile, matches: () => fits(entry) && named(entry) });
        tiles.append(tile);
      }
      return make('div', { class: 'group' }, make('h3', {}, make('span', { class: 'of' }, `${set.namespace}/`), set.name), tiles);
    });
  }
  function filter() {
    let left = 0;
    for (const one of drawn) {
      const matches = one.matches();
      one.element.classList.toggle('hidden', !matches);
      left += matches;
    }
    nothing.classList.toggle('hidden', left > 0);
    enter(grid.querySelector('.cell[tabindex="0"]:not(.hidden)') || cells()[0]);
  }

  /* One cell at a time is in the order of Tab; the arrows move among them. */
  const cells = () => [...grid.querySelectorAll('.cell')].filter((one) => !one.closest('.hidden'));
  function enter(target, focus) {
    grid.querySelectorAll('.cell[tabindex="0"]').forEach((one) => one.setAttribute('tabindex', -1));
    if (!target) return;
    target.setAttribute('tabindex', 0);
    if (focus) target.focus();
  }
  /* By where cells are on the screen, so that it holds for rows, tiles and a phone's one column. */
  function neighbour(from, key) {
    const choice = cells();
    const place = choice.indexOf(from);
    if (key === 'Home') return choice[0];
    if (key === 'End') return choice[choice.length - 1];
    if (key === 'ArrowLeft') return choice[place - 1];
    if (key === 'ArrowRight') return choice[place + 1];
    const here = from.getBoundingClientRect();
    const down = key === 'ArrowDown' || key === 'PageDown';
    let skip = key.startsWith('Page') ? 10 : 1;
    let top = here.top;
    let best = null;
    for (let index = place + (down ? 1 : -1); index >= 0 && index < choice.length; index += down ? 1 : -1) {
      const box = choice[index].getBoundingClientRect();
      if (Math.abs(box.top - top) > 4) {
        if (skip-- === 0) break;
        top = box.top;
        best = null;
      }
      if (top !== here.top && (!best || Math.abs(box.left - here.left) < best.off)) best = { one: choice[index], off: Math.abs(box.left - here.left) };
    }
    return best && best.one;
  }
  const MOVES = ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown', 'Home', 'End', 'PageUp', 'PageDown'];
  grid.addEventListener('keydown', (event) => {
    const from = event.target.closest('.cell');
    if (!from || !MOVES.includes(event.key)) return;
    event.preventDefault();
    const target = neighbour(from, event.key);
    if (target) enter(target, true);
  });
  grid.addEventListener('click', (event) => {
    const target = event.target.closest('.cell');
    if (!target) return;
    const [of, node] = target.dataset.at.split('.');
    enter(target);
    show(entries[of][node], target);
  });

  function tools() {
    const search = make('input', { type: 'search', placeholder: 'Find a node or a reason ( / )', 'aria-label': 'Find a node or a reason', id: 'search', autocomplete: 'off', spellcheck: 'false', oninput: () => {
      view.text = search.value.trim().toLowerCase();
      filter();
    } });
    const counted = new Map();
    for (const entry of all) counted.set(entry.state, (counted.get(entry.state) || 0) + 1);
    const choices = make('div', { class: 'choices', role: 'group', 'aria-label': 'States' });
    for (const state of Object.keys(states).filter((one) => counted.has(one))) {
      choices.append(make('button', { class: `choice ${states[state][0]}`, type: 'button', 'aria-pressed': 'false', onclick: (event) => {
        if (!chosen.delete(state)) chosen.add(state);
        event.currentTarget.setAttribute('aria-pressed', chosen.has(state));
        filter();
      } }, sign(state), state, make('b', {}, String(counted.get(state)))));
    }
    const sort = make('select', { 'aria-label': 'Order', onchange: () => { view.sort = sort.value; draw(); } },
      ...[['worst', 'worst first'], ['inventory', 'as in the inventory'], ['name', 'by name']].map(([value, text]) => make('option', { value }, text)));
    const views = make('div', { class: 'views', role: 'group', 'aria-label': 'View' });
    for (const [form, text] of [['list', 'List'], ['wall', 'Wall']]) {
      views.append(make('button', { type: 'button', 'aria-pressed': String(view.form === form), onclick: (event) => {
        view.form = form;
        [...views.children].forEach((one) => one.setAttribute('aria-pressed', one === event.currentTarget));
        draw();
      } }, text));
    }
    return [make('div', { class: 'tools' }, search, sort, views), make('div', { class: 'tools' }, choices)];
  }

  /* ---- the timeline of each DaemonSet ---- */
  const SVG = 'http://www.w3.org/2000/svg';
  function shape(tag, attributes, text) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text) element.textContent = text;
    return element;
  }
  function rollouts(set, of) {
    if (!set.history.length) return null;
    const list = make('ul', { class: 'rollouts' });
    for (const { number, revisions, cause, at, failed } of set.history) {
      const times = [...at, ...failed].map(([, time]) => time);
      const first = Math.min(...times), last = Math.max(...times);
      const title = make('div', { class: 'line' }, make('b', {}, `Revision ${number}`),
        cause ? make('span', {}, cause) : null,
        make('span', { class: 'of' }, `${moment(first)}${last - first >= 1 ? `, over ${span(last - first)}` : ''} · ${plural(at.length, 'node')}`),
        failed.length ? make('span', { class: 'pill bad' }, `failed on ${plural(failed.length, 'node')}`) : null,
        make('span', { class: 'of mono' }, revisions.map((one) => words[one].slice(0, 10)).slice(0, 3).join(' ') + (revisions.length > 3 ? ' …' : '')));
      list.append(make('li', {}, title, last > first ? lane(of, at, failed, first, last) : null));
    }
    return make('section', {}, make('h2', {}, sets.length > 1 ? `Rollouts of ${set.name}` : 'Rollouts'), make('div', { class: 'sheet' }, list));
  }
  function lane(of, at, failed, first, last) {
    const low = 30, STEPS = 250;
    const svg = shape('svg', { class: 'lane', role: 'img', 'aria-label': `${plural(at.length, 'node')}, ${failed.length} failed` });
    svg.append(shape('line', { x1: 0, y1: low + 9, x2: '100%', y2: low + 9 }));
    const near = last - first < 43200;
    const mark = (time) => new Date(time * 1000).toLocaleString([], near ? { timeStyle: 'medium', hourCycle: 'h23' } : { dateStyle: 'medium' });
    if (last > first) svg.append(shape('text', { x: 0, y: low + 23 }, mark(first)), shape('text', { x: '100%', y: low + 23, 'text-anchor': 'end' }, mark(last)));
    const heights = new Map();  // nodes of the same moment stand on one another
    for (const [node, time, bad] of [...at, ...failed.map(([one, moment_]) => [one, moment_, true])]) {
      const x = Math.round((last > first ? (time - first) / (last - first) : 0.5) * STEPS);
      const level = heights.get(x) || 0;
      heights.set(x, level + 1);
      const dot = shape('rect', { x: `${0.1 + x / STEPS * 99}%`, y: low - Math.min(level, 5) * 6, width: 5, height: 7, rx: bad ? 0 : 2, class: bad ? 'failed' : 'done' });
      dot.append(shape('title', {}, `${nodes[node]}: ${moment(time)}${bad ? ', failed' : ''}`));
      svg.append(dot);
    }
    return svg;
  }

  /* ---- one node ---- */
  let origin = null;
  function show(entry, from) {
    if (from) origin = from;
    document.querySelectorAll('.cell[aria-expanded]').forEach((one) => one.removeAttribute('aria-expanded'));
    const at = grid.querySelector(`.cell[data-at="${entry.of}.${entry.node}"]`);
    if (at) at.setAttribute('aria-expanded', 'true');
    panel.replaceChildren(...portrait(entry));
    panel.hidden = false;
    panel.scrollTop = 0;
    panel.focus({ preventScroll: true });
    history.replaceState(null, '', `#${encodeURIComponent(`${entry.set.namespace}/${entry.set.name}@${entry.name}`)}`);
  }
  function hide() {
    if (panel.hidden) return;
    panel.hidden = true;
    document.querySelectorAll('.cell[aria-expanded]').forEach((one) => one.removeAttribute('aria-expanded'));
    history.replaceState(null, '', location.pathname + location.search);
    if (origin && origin.isConnected) origin.focus();
  }
  function pairs(rows) {
    const element = make('dl');
    for (const [name, value, mono] of rows) {
      if (value !== '' && value !== null && value !== undefined) element.append(make('dt', {}, name), make('dd', mono ? { class: 'mono' } : {}, String(value)));
    }
    return element;
  }
  const answer = (entry, flag) => (entry.flags & flag ? 'yes' : 'no');
  function size(bytes) {
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
    let index = 0;
    while (bytes >= 1024 && index < units.length - 1) { bytes /= 1024; index += 1; }
    return `${bytes.toFixed(bytes < 10 && index ? 1 : 0)} ${units[index]}`;
  }
  function portrait(entry) {
    const { set } = entry;
    const about = (set.details || {})[entry.node] || {};
    const there = entry.flags & PRESENT;
    const parts = [make('header', {},
      make('div', {}, make('h2', { id: 'panel-title' }, entry.name), make('p', { class: 'of' }, `${set.namespace}/${set.name}`)),
      make('button', { class: 'close', type: 'button', 'aria-label': 'Close (Escape)', onclick: hide }, '×')),
    make('div', { class: `state ${entry.mood}` }, make('p', {}, sign(entry.state), ' ', make('span', { class: 'word' }, entry.state)),
      entry.reason ? make('p', {}, entry.reason) : null),
    pairs([
      ['Revision', entry.revision, true],
      ['Should have', entry.flags & ELIGIBLE && entry.wanted !== entry.revision ? entry.wanted : '', true],
      ['Ready', there ? answer(entry, READY) : ''],
      ['Available', there ? answer(entry, AVAILABLE) : ''],
      ['Restarts', there ? entry.restarts : ''],
      ['Runs under', there ? entry.runtime : ''],
      ['Since', there && entry.created ? `${moment(entry.created)} (${ago(entry.created)})` : ''],
      ['Memory', about.usage && about.usage.memoryBytes !== null && about.usage.memoryBytes !== undefined ? size(about.usage.memoryBytes) : ''],
      ['CPU', about.usage && about.usage.cpuCores !== null && about.usage.cpuCores !== undefined ? `${about.usage.cpuCores.toFixed(3)} cores` : ''],
    ])];
    const others = sets.map((_set, of) => entries[of][entry.node]).filter((other) => other.of !== entry.of && other.mood !== 'none');
    if (others.length) {
      parts.push(make('h3', {}, 'Also on this node'));
      for (const other of others) parts.push(make('p', { class: `of ${other.mood}` }, sign(other.state), ' ', make('button', { class: 'link', type: 'button', onclick: () => show(other) }, other.set.name), ` ${other.state}`));
    }
    if (about.log && about.log.length) {
      const log = make('pre', { tabindex: 0, 'aria-label': 'Last log lines' });
      const several = new Set(about.log.map((line) => line.container)).size > 1;
      about.log.forEach((line, index) => log.append(index ? '\n' : '', make('time', { title: line.at }, clock(line.at)), ` ${several ? `${line.container} | ` : ''}${line.line}`));
      parts.push(make('h3', {}, 'Last log lines'), log);
    }
    const past = [
      ...(about.events || []).map((event) => ({ at: Date.parse(event.at) / 1000, text: `${event.reason}: ${event.message}`, mood: event.type === 'Warning' ? 'bad' : 'good' })),
      ...set.history.flatMap(({ number, cause, at }) => at.filter(([node]) => node === entry.node).map(([, time]) => ({ at: time, text: `Revision ${number}${cause ? `: ${cause}` : ''}`, mood: 'good' }))),
      ...set.failures.filter(([node]) => node === entry.node).map(([, time, revision, reason]) => ({ at: time, text: `Revision ${words[revision]} failed: ${words[reason]}`, mood: 'bad' })),
    ].sort((a, b) => b.at - a.at);
    if (past.length) {
      parts.push(make('h3', {}, 'What happened'), make('ol', {}, ...past.map((one) => make('li', { class: one.mood }, make('time', { title: moment(one.at) }, `${moment(one.at)} · ${ago(one.at)}`), one.text))));
    }
    if (there) parts.push(make('h3', {}, 'On the node'), make('pre', { tabindex: 0, 'aria-label': 'Commands' }, commands(entry)));
    return parts;
  }
  function commands(entry) {
    const name = `everynode.${entry.set.namespace}.${entry.set.name}`;
    if (entry.runtime === 'systemd') return `systemctl status ${name}\njournalctl -u ${name}`;
    return `systemctl status ${name}\n${entry.runtime} ps --all --filter label=everynode.instance`;
  }

  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') {
      if (!panel.hidden) hide();
      else if (document.activeElement.id === 'search') document.activeElement.blur();
    } else if (event.key === '/' && !event.target.closest('input, select')) {
      event.preventDefault();
      document.getElementById('search').focus();
    }
  });
  document.addEventListener('click', (event) => {
    if (!panel.hidden && event.target.isConnected && !event.target.closest('.panel, .cell, .link')) hide();
  });

  const heading = make('h2', {}, `Nodes`);
  page.append(...[attention(), make('section', {}, heading, ...tools(), grid), ...sets.map(rollouts),
    make('p', { class: 'keys' }, make('kbd', {}, '/'), ' find · ', make('kbd', {}, '←↑→↓'), ' move · ', make('kbd', {}, 'Enter'), ' look · ', make('kbd', {}, 'Esc'), ' back')].filter(Boolean));
  draw();

  const wanted = decodeURIComponent(location.hash.slice(1));
  const linked = wanted && all.find((entry) => `${entry.set.namespace}/${entry.set.name}@${entry.name}` === wanted);
  if (linked) show(linked);
})();

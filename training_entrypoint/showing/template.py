"""The page of the report, for Jinja2 with autoescape: one file that loads nothing from elsewhere.

It is a text in Python, not a file of its own: containers get the code as one archive of modules.
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>{{ title }}</title>
<style>
:root { --ink: #1d1f23; --page: #ffffff; --soft: #60656e; --line: #d9dce1; --card: #f5f6f8;
  --mark: #c2303c; --warn: #fff3d6 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --page: #16181c; --soft: #9aa0aa;
  --line: #363a42; --card: #1f2228; --mark: #ff7a84; --warn: #3d3115 } }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page);
  max-width: 62rem; margin: 0 auto; padding: 2rem 1.25rem }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem }
h2 { font-size: 1.1rem; margin: 2.25rem 0 .75rem; padding-top: .75rem;
  border-top: 1px solid var(--line) }
p { margin: .4rem 0; max-width: 48rem }
.soft, figcaption, th { color: var(--soft) }
.note { background: var(--warn); padding: .5rem .75rem; border-radius: .35rem }
svg { width: 100%; height: auto }
img { display: block; width: 100%; height: auto; border-radius: .25rem; background: var(--card) }
.small { image-rendering: pixelated }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; vertical-align: top; font-weight: 400 }
td { overflow-wrap: anywhere }
.steps td, .steps th { padding: 0 .35rem .35rem 0; min-width: 6rem }
.steps .prompt { min-width: 8rem; max-width: 12rem }
.exported { color: var(--mark); font-weight: 600 }
.exported img { outline: 2px solid var(--mark) }
.grid { display: grid; gap: .75rem; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)) }
.photos { grid-template-columns: repeat(auto-fill, minmax(5.5rem, 1fr)) }
figure { margin: 0; break-inside: avoid }
figcaption { font-size: .8rem; overflow-wrap: anywhere }
code { font: .85em ui-monospace, monospace; overflow-wrap: anywhere }
summary { cursor: pointer }
@media print {
  :root { --ink: #000000; --page: #ffffff; --soft: #444444; --line: #cccccc; --card: #ffffff;
    --mark: #b00020; --warn: #ffffff }
  body { max-width: none; padding: 0; font-size: 11px }
  h2 { break-after: avoid }
  tr, svg { break-inside: avoid }
  .steps td, .steps th { min-width: 0 }
}
</style>
</head>
<body>
<header>
<h1>{{ headline }}</h1>
{% if reason %}<p>{{ reason }}</p>{% endif %}
{% if warning %}<p class="note">{{ warning }}</p>{% endif %}
<p class="soft">{{ about }}</p>
</header>

{% if curves %}
<section><h2>How it went</h2>
<div class="wide" role="img" aria-label="Curves by step; the table below has their figures.">
{{ curves }}
</div></section>
{% endif %}

{% if table.rows %}
<section>{% if not curves %}<h2>How it went</h2>{% endif %}
<details><summary>What was measured, in figures</summary>
<div class="wide"><table>
<tr>{% for head in table.heads %}<th>{{ head }}</th>{% endfor %}</tr>
{% for row in table.rows %}
<tr{% if row.exported %} class="exported"{% endif %}>
{% for cell in row.cells %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</table></div>
{% for line in table.notes %}<p class="soft">{{ line }}</p>{% endfor %}
</details></section>
{% endif %}

{% if strip.rows %}
<section><h2>Images by step</h2>
<p class="soft">The same prompts and seeds at each step. Step 0 is the base model.</p>
<div class="wide"><table class="steps">
<tr><th class="prompt"></th>
{% for step in strip.steps %}<th{% if step.exported %} class="exported"{% endif %}>
step {{ step.number }}{% if step.exported %}, exported{% endif %}</th>{% endfor %}</tr>
{% for row in strip.rows %}
<tr><td class="prompt">{{ row.prompt }}</td>
{% for image in row.images %}<td{% if image.exported %} class="exported"{% endif %}>
{% if image.uri %}<img class="{{ image.kind }}" src="{{ image.uri }}" alt="{{ image.alt }}">
{% endif %}</td>{% endfor %}</tr>
{% endfor %}
</table></div></section>
{% endif %}

{% if samples %}
<section><h2>Samples</h2>
<p class="soft">Drawn with the finished avatar, read from its files.</p>
<div class="grid">
{% for image in samples %}
<figure><img class="{{ image.kind }}" src="{{ image.uri }}" alt="{{ image.alt }}">
<figcaption>{{ image.alt }}</figcaption></figure>
{% endfor %}
</div></section>
{% endif %}

{% if notices %}
<section><h2>What the training said</h2>
<ul>{% for notice in notices %}<li>{{ notice }}</li>{% endfor %}</ul></section>
{% endif %}

<section><h2>Photos</h2>
<p class="soft">{{ photos_line }}</p>
{% if photos %}
<p class="note">Small copies of the photos are in this page, and go wherever it goes: hand it on
only to those who may see them.</p>
{% endif %}
<div class="grid photos">
{% for photo in photos %}
<figure>{% if photo.uri %}<img src="{{ photo.uri }}" alt="{{ photo.alt }}">{% endif %}
<figcaption><code>{{ photo.digest }}</code></figcaption></figure>
{% endfor %}
</div></section>

<section><h2>Time and cost</h2>
<table>{% for name, value in cost %}<tr><th>{{ name }}</th><td>{{ value }}</td></tr>{% endfor %}
</table></section>

<section><h2>Settings</h2>
<table>
{% for name, value in settings %}<tr><th>{{ name }}</th><td>{{ value }}</td></tr>{% endfor %}
</table>
<details><summary>All of them</summary><table>
{% for name, value in all_settings %}<tr><th>{{ name }}</th><td>{{ value }}</td></tr>{% endfor %}
</table></details></section>

<section><h2>Versions</h2>
<table>
{% for name, value in versions %}<tr><th>{{ name }}</th><td>{{ value }}</td></tr>{% endfor %}
</table></section>
</body>
</html>
"""

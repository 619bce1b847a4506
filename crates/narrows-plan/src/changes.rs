//! What makes one plan another, in meaning: places in files and the order of what has none do not count.

use crate::{Plan, describe};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::fmt;

/// Keys that are no meaning: where something stands, and what follows from the others.
const NO_MEANING: [&str; 3] = ["origin", "rank", "name"];

/// Everything that makes one plan another.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Changes {
    /// In the order of the new plan; what is gone comes first within its kind.
    pub changes: Vec<Change>,
    /// What serving the new plan in place of the old one does beside that.
    pub effects: Vec<String>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Of what.
    pub kind: Kind,
    /// Its name: of a route `listener/route`, of an endpoint `upstream/address`; empty for the settings.
    pub name: String,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
    /// `file:line:column` in the new plan, or in the old one of what is gone; empty where there is none.
    pub place: String,
}

/// What a change is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Kind {
    Settings,
    Listener,
    Route,
    Upstream,
    Endpoint,
}

/// What happened to something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum What {
    /// Only the new plan has it; in one line, what it does.
    Added {
        /// Such as `upstream app`; may be empty.
        does: String,
    },
    /// Only the old plan has it.
    Removed,
    /// One of its keys has another value.
    Changed {
        /// Such as `timeouts.connect`.
        key: String,
        /// Before, as JSON or as text.
        old: String,
        /// Now.
        new: String,
    },
    /// It comes before or after others that it did not come before or after.
    Moved,
    /// It has another name and is the same else.
    Renamed {
        /// Its name before.
        from: String,
    },
}

impl Kind {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Settings => "settings",
            Kind::Listener => "listener",
            Kind::Route => "route",
            Kind::Upstream => "upstream",
            Kind::Endpoint => "endpoint",
        }
    }
}

impl Plan {
    /// What makes this plan another one than `old`.
    pub fn changes_from(&self, old: &Plan) -> Changes {
        let (before, now) = (describe(old), describe(self));
        let mut changes = Found::default();
        changes.compare(Kind::Settings, "", &before["settings"], &now["settings"]);
        let (before_listeners, now_listeners) = (list(&before["listeners"]), list(&now["listeners"]));
        changes.pair(Kind::Listener, "", before_listeners, now_listeners);
        for (old, new) in by_key(before_listeners, now_listeners, "name") {
            changes.routes(text(&new["name"]), list(&old["routes"]), list(&new["routes"]));
            changes.say_once(text(&new["name"]));
        }
        let (before_upstreams, now_upstreams) = (list(&before["upstreams"]), list(&now["upstreams"]));
        changes.pair(Kind::Upstream, "", before_upstreams, now_upstreams);
        for (old, new) in by_key(before_upstreams, now_upstreams, "name") {
            changes.endpoints(text(&new["name"]), list(&old["endpoints"]), list(&new["endpoints"]));
        }
        Changes { changes: changes.0, effects: effects(old, self) }
    }
}

impl Changes {
    /// Whether both plans mean the same.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// One line: `1 route added, 2 endpoints removed`; `nothing changed`.
    pub fn summary(&self) -> String {
        let mut counts: Vec<((Kind, &str), Vec<&str>)> = Vec::new();
        for change in &self.changes {
            let key = (change.kind, change.what.word());
            let place = counts.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
                counts.push((key, Vec::new()));
                counts.len() - 1
            });
            // Something of which three keys changed is one thing that changed.
            if !counts[place].1.contains(&&*change.name) {
                counts[place].1.push(&change.name);
            }
        }
        let parts = counts.iter().map(|((kind, word), names)| match (kind, names.len()) {
            (Kind::Settings, _) => format!("settings {word}"),
            (kind, 1) => format!("1 {} {word}", kind.name()),
            (kind, many) => format!("{many} {}s {word}", kind.name()),
        });
        let parts: Vec<String> = parts.collect();
        if parts.is_empty() { "nothing changed".to_owned() } else { parts.join(", ") }
    }
}

impl What {
    fn word(&self) -> &'static str {
        match self {
            What::Added { .. } => "added",
            What::Removed => "removed",
            What::Changed { .. } => "changed",
            What::Moved => "moved",
            What::Renamed { .. } => "renamed",
        }
    }
}

/// `+ route web/api: upstream app`, `~ upstream app: pool.idle: 64 -> 128`.
impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match &self.what {
            What::Added { .. } => '+',
            What::Removed => '-',
            What::Changed { .. } | What::Moved | What::Renamed { .. } => '~',
        };
        write!(formatter, "{sign} {}", self.kind.name())?;
        if !self.name.is_empty() {
            write!(formatter, " {}", self.name)?;
        }
        match &self.what {
            What::Added { does } if does.is_empty() => Ok(()),
            What::Added { does } => write!(formatter, ": {does}"),
            What::Removed => Ok(()),
            What::Changed { key, old, new } => write!(formatter, ": {key}: {old} -> {new}"),
            What::Moved => formatter.write_str(": it is compared earlier or later than before"),
            What::Renamed { from } => write!(formatter, ": it was {from}"),
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Those that both have, by a key.
fn by_key<'a>(old: &'a [Value], new: &'a [Value], key: &str) -> Vec<(&'a Value, &'a Value)> {
    let known: HashMap<&str, &Value> = old.iter().map(|one| (text(&one[key]), one)).collect();
    new.iter().filter_map(|one| Some((*known.get(text(&one[key]))?, one))).collect()
}

#[derive(Default)]
struct Found(Vec<Change>);

impl Found {
    fn add(&mut self, kind: Kind, name: String, what: What, value: &Value) {
        self.0.push(Change { kind, name, what, place: text(&value["origin"]).to_owned() });
    }

    /// What came, what went, and what is another in what stayed; by name.
    fn pair(&mut self, kind: Kind, prefix: &str, old: &[Value], new: &[Value]) {
        let named = |one: &Value| format!("{prefix}{}", text(&one["name"]));
        let has = |list: &[Value]| list.iter().map(|one| (text(&one["name"]).to_owned(), ())).collect();
        let (in_old, in_new): (HashMap<String, ()>, HashMap<String, ()>) = (has(old), has(new));
        for gone in old.iter().filter(|one| !in_new.contains_key(text(&one["name"]))) {
            self.add(kind, named(gone), What::Removed, gone);
        }
        for came in new.iter().filter(|one| !in_old.contains_key(text(&one["name"]))) {
            self.add(kind, named(came), What::Added { does: does(came) }, came);
        }
        for (old, new) in by_key(old, new, "name") {
            self.compare(kind, &named(new), old, new);
        }
    }

    fn routes(&mut self, listener: &str, old: &[Value], new: &[Value]) {
        let pairs = pair_routes(old, new);
        let named = |route: &Value| format!("{listener}/{}", text(&route["name"]));
        for (place, gone) in old.iter().enumerate() {
            if !pairs.iter().any(|(old, _)| *old == place) {
                self.add(Kind::Route, named(gone), What::Removed, gone);
            }
        }
        for (place, came) in new.iter().enumerate() {
            match pairs.iter().find(|(_, new)| *new == place) {
                None => self.add(Kind::Route, named(came), What::Added { does: does(came) }, came),
                Some((before, _)) => {
                    let before = &old[*before];
                    // A number is no name: it changes with each route before it.
                    if before["name"] != came["name"] && !text(&came["name"]).ends_with(']') {
                        self.add(Kind::Route, named(came), What::Renamed { from: named(before) }, came);
                    }
                    self.compare(Kind::Route, &named(came), before, came);
                }
            }
        }
        let rank = |routes: &[Value], place: usize| routes[place]["rank"].as_u64().unwrap_or_default();
        let mut in_order = pairs;
        in_order.sort_by_key(|(before, _)| rank(old, *before));
        let ranks: Vec<u64> = in_order.iter().map(|(_, now)| rank(new, *now)).collect();
        for (place, (_, now)) in in_order.iter().enumerate() {
            if !stays(&ranks)[place] {
                self.add(Kind::Route, named(&new[*now]), What::Moved, &new[*now]);
            }
        }
    }

    /// What routes only have from their listener is said of the listener.
    fn say_once(&mut self, listener: &str) {
        let of_listener = |change: &Change| change.kind == Kind::Listener && change.name == listener;
        let inherited: Vec<What> =
            self.0.iter().filter(|change| of_listener(change)).map(|change| change.what.clone()).collect();
        let prefix = format!("{listener}/");
        self.0.retain(|change| {
            change.kind != Kind::Route
                || !change.name.starts_with(&prefix)
                || !inherited.contains(&change.what)
        });
    }

    fn endpoints(&mut self, upstream: &str, old: &[Value], new: &[Value]) {
        let named = |one: &Value| format!("{upstream}/{}", text(&one["address"]));
        let mut left: HashMap<&str, Vec<&Value>> = HashMap::new();
        for one in old {
            left.entry(text(&one["address"])).or_default().push(one);
        }
        let mut came = Vec::new();
        for one in new {
            match left.get_mut(text(&one["address"])).and_then(Vec::pop) {
                Some(before) => self.compare(Kind::Endpoint, &named(one), before, one),
                None => came.push(one),
            }
        }
        for gone in old.iter().filter(|one| {
            left.get(text(&one["address"]))
                .is_some_and(|left| left.iter().any(|gone| std::ptr::eq(*gone, *one)))
        }) {
            self.add(Kind::Endpoint, named(gone), What::Removed, gone);
        }
        for one in came {
            self.add(Kind::Endpoint, named(one), What::Added { does: String::new() }, one);
        }
    }

    /// The keys of one thing that have another value.
    fn compare(&mut self, kind: Kind, name: &str, old: &Value, new: &Value) {
        let mut keys = Vec::new();
        let none = Map::new();
        let (before, now) = (old.as_object().unwrap_or(&none), new.as_object().unwrap_or(&none));
        let apart = |key: &str| match kind {
            Kind::Listener => key == "routes",
            Kind::Upstream => key == "endpoints",
            _ => false,
        };
        differ("", before, now, &apart, &mut keys);
        for (key, old, now) in keys {
            self.add(kind, name.to_owned(), What::Changed { key, old, new: now }, new);
        }
    }
}

/// Which routes are the same ones: those that take the same requests; then those of one name.
fn pair_routes(old: &[Value], new: &[Value]) -> Vec<(usize, usize)> {
    let takes = |route: &Value| format!("{}{}{}", route["hosts"], route["paths"], route["conditions"]);
    let name = |route: &Value| text(&route["name"]).to_owned();
    let mut pairs = Vec::new();
    let mut is_paired = vec![false; new.len()];
    let mut was_paired = vec![false; old.len()];
    let keys: [&dyn Fn(&Value) -> String; 2] = [&takes, &name];
    for key in keys {
        let mut known: HashMap<String, Vec<usize>> = HashMap::new();
        for place in (0..old.len()).rev().filter(|place| !was_paired[*place]) {
            known.entry(key(&old[place])).or_default().push(place);
        }
        for place in 0..new.len() {
            if !is_paired[place]
                && let Some(before) = known.get_mut(&key(&new[place])).and_then(Vec::pop)
            {
                is_paired[place] = true;
                was_paired[before] = true;
                pairs.push((before, place));
            }
        }
    }
    pairs
}

/// Which of the numbers can stay in their places while the others move between them: those of a longest ascending row.
fn stays(ranks: &[u64]) -> Vec<bool> {
    let mut ends: Vec<usize> = Vec::new();
    let mut before = vec![None; ranks.len()];
    for (place, rank) in ranks.iter().enumerate() {
        let length = ends.partition_point(|end| ranks[*end] < *rank);
        before[place] = length.checked_sub(1).map(|last| ends[last]);
        if length == ends.len() {
            ends.push(place);
        } else {
            ends[length] = place;
        }
    }
    let mut stays = vec![false; ranks.len()];
    let mut next = ends.last().copied();
    while let Some(place) = next {
        stays[place] = true;
        next = before[place];
    }
    stays
}

/// Keys, also inside of tables, with their values before and now.
fn differ(
    prefix: &str,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    apart: &dyn Fn(&str) -> bool,
    found: &mut Vec<(String, String, String)>,
) {
    let keys = new.keys().chain(old.keys().filter(|key| !new.contains_key(*key)));
    for key in keys.filter(|key| !NO_MEANING.contains(&key.as_str()) && !apart(key)) {
        let (before, now) = (old.get(key).unwrap_or(&Value::Null), new.get(key).unwrap_or(&Value::Null));
        if without_places(before) == without_places(now) {
            continue;
        }
        match (before, now) {
            (Value::Object(before), Value::Object(now)) => {
                differ(&format!("{prefix}{key}."), before, now, &|_| false, found);
            }
            _ => found.push((format!("{prefix}{key}"), shown(before), shown(now))),
        }
    }
}

/// A value without the places of its parts.
fn without_places(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(key, _)| *key != "origin");
            Value::Object(kept.map(|(key, value)| (key.clone(), without_places(value))).collect())
        }
        Value::Array(list) => list.iter().map(without_places).collect(),
        other => other.clone(),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => without_places(other).to_string(),
    }
}

/// What something new does, in a few words.
fn does(value: &Value) -> String {
    if let Some(binds) = value["bind"].as_array() {
        let binds: Vec<&str> = binds.iter().map(text).collect();
        return format!("{} on {}", text(&value["protocol"]), binds.join(", "));
    }
    if let Some(endpoints) = value["endpoints"].as_array() {
        let some = endpoints.iter().take(3).map(|one| text(&one["address"]));
        let some = some.collect::<Vec<_>>().join(", ");
        return if endpoints.len() > 3 { format!("{some} and {} more", endpoints.len() - 3) } else { some };
    }
    let takes = [list(&value["hosts"]), list(&value["paths"]), list(&value["conditions"])];
    let takes: Vec<&str> = takes.into_iter().flatten().map(text).collect();
    let goes = match (&value["action"], &value["upstream"]) {
        (Value::Object(action), _) => action
            .iter()
            .next()
            .map(|(kind, what)| match what {
                Value::String(name) => format!("{kind} {name}"),
                _ => kind.clone(),
            })
            .unwrap_or_default(),
        (Value::String(action), _) => action.clone(),
        (_, Value::String(upstream)) => format!("upstream {upstream}"),
        _ => String::new(),
    };
    format!("{} -> {goes}", takes.join(" "))
}

/// What happens to connections and processes when `new` is served in place of `old`.
fn effects(old: &Plan, new: &Plan) -> Vec<String> {
    let mut effects = Vec::new();
    for listener in &old.listeners {
        let name = &listener.name;
        match new.listeners.iter().find(|one| one.name == *name) {
            None => effects.push(format!("listener {name}: connections end after what runs on them")),
            Some(now) if now.protocol.name() != listener.protocol.name() => {
                effects.push(format!("listener {name}: connections of {} end", listener.protocol.name()));
            }
            Some(now) if now.tls != listener.tls => {
                effects.push(format!("listener {name}: new connections get the new TLS settings"));
            }
            Some(_) => {}
        }
    }
    for upstream in &old.upstreams {
        if let Some(now) = new.upstreams.iter().find(|one| one.name == upstream.name)
            && !upstream.is_served_like(now)
        {
            effects.push(format!("upstream {}: idle connections are closed and made anew", upstream.name));
        }
    }
    if old.settings.workers != new.settings.workers {
        effects.push("settings.workers: needs a restart or an upgrade".to_owned());
    }
    effects
}

#[cfg(test)]
mod tests;

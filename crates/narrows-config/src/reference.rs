//! The JSON Schema and the reference of the native configuration, made from the declared tables.

mod routing;

use crate::Code;
use crate::model::Configuration;
use crate::shape::{Presence, Shape, TableReference, title};
use schemars::generate::SchemaSettings;
use serde_json::Value;
use std::fmt::Write;

pub use routing::routing;

/// The JSON Schema of the native configuration, for editors and checkers.
pub fn schema() -> Value {
    let schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<Configuration>();
    let mut value = schema.to_value();
    if let Some(object) = value.as_object_mut() {
        object.insert("title".into(), "Narrows configuration".into());
    }
    value
}

/// The reference of the native configuration, in Markdown: every table, every key, every code.
pub fn reference() -> String {
    let mut tables = Vec::new();
    Configuration::collect(&mut tables);
    let mut text = String::from(INTRODUCTION);
    for table in &tables {
        write_table(&mut text, table);
    }
    text.push_str(
        "\n## Diagnostics\n\n`narrows check` reports everything that it finds. The codes are stable.\n\n",
    );
    text.push_str("| code | meaning |\n| --- | --- |\n");
    for code in Code::ALL {
        let _ = writeln!(text, "| {} | {} |", code.as_str(), code.sentence());
    }
    text
}

fn write_table(text: &mut String, table: &TableReference) {
    let _ = write!(text, "\n## {}\n\n{}\n\n", title(table.name), trim_lines(table.doc));
    text.push_str("| key | type | default | meaning |\n| --- | --- | --- | --- |\n");
    for row in &table.rows {
        let default = match &row.presence {
            Presence::Required => "required".to_owned(),
            Presence::Optional => String::new(),
            Presence::Otherwise(what) => (*what).to_owned(),
            Presence::Default(default) => format!("`{default}`"),
        };
        let doc = trim_lines(row.doc).replace('\n', " ").replace('|', "\\|");
        let _ = writeln!(text, "| `{}` | {} | {default} | {doc} |", row.key, row.written.replace('|', "\\|"));
    }
}

fn trim_lines(doc: &str) -> String {
    doc.lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

const INTRODUCTION: &str = "\
# Configuration

<!-- Made by `cargo xtask docs` from the tables in crates/narrows-config; do not edit. -->

The native configuration is YAML. Unknown keys are errors, defaults are safe, and `narrows check FILE` tells everything
that is wrong with a file at once. `narrows schema` prints a JSON Schema, with which editors complete and check it.
Which route wins, how paths are normalised, and what expressions and templates can say stands in [routing.md](routing.md); how upstreams
are kept well, in [upstreams.md](upstreams.md).

* **duration**: a whole number and a unit, `250ms`, `5s`, `2m`, `1h`.
* **size**: bytes, or a whole number and a unit, `8192`, `8KiB`, `1MiB`, `10GiB`, also `KB`, `MB`, `GB`.
* **percentage**: a whole number and the sign, `50%`.
* **text**: any YAML scalar. Texts that hold `: `, ` #`, or begin with `*`, `&`, `{`, `[`, `%` or `@` need quotes.
* **template**: text with `${ expression }` inside; `$$` writes a dollar sign.
* Anchors and aliases (`&name`, `*name`) and merge keys (`<<: *name`) work; a value may be used many times.
";

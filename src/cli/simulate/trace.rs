//! Reads traces: bundled ones by name, TOML files, and CSV files of uploads.

use std::path::Path;

use anyhow::Context as _;
use jetreel_domain::scale::simulation::{Trace, Uploads};
use toml::{Table, Value};

use crate::cli::exit::{Exit, told};

/// Values that a trace need not give.
const BASE: &str = include_str!("traces/base.toml");

/// The bundled traces.
const BUNDLED: [(&str, &str); 4] = [
    ("burst-500", include_str!("traces/burst-500.toml")),
    ("viral-day", include_str!("traces/viral-day.toml")),
    ("half-lost", include_str!("traces/half-lost.toml")),
    ("slow-storage", include_str!("traces/slow-storage.toml")),
];

/// Key that names a CSV file of uploads, beside the trace.
const UPLOADS_FILE: &str = "uploads-file";

/// The trace with this name, or in this file.
pub(super) fn load(name: &str) -> anyhow::Result<Trace> {
    if let Ok(text) = bundled(name) {
        return parsed(text, Path::new("."));
    }
    let path = Path::new(name);
    if path.extension().is_some_and(|end| end == "csv") {
        let about =
            format!("the uploads of {name}, with the rules and nodes of a trace that gives none");
        let text = format!("about = {about:?}\n{UPLOADS_FILE} = {name:?}\n");
        return parsed(&text, Path::new("."));
    }
    let text = std::fs::read_to_string(path).map_err(|error| {
        let names = names();
        let text =
            format!("cannot read the trace {name} ({error}); name a file, or one of {names}");
        told(Exit::NotFound, text)
    })?;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    parsed(&text, folder).with_context(|| format!("cannot use the trace {name}"))
}

/// A bundled trace with the values that it need not give.
pub(super) fn exported(name: &str) -> anyhow::Result<String> {
    let table = laid_over(BASE.parse()?, bundled(name)?.parse()?);
    Ok(toml::to_string_pretty(&table)?.trim_end().to_owned())
}

fn bundled(name: &str) -> anyhow::Result<&'static str> {
    let found = BUNDLED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
    found.ok_or_else(|| {
        let names = names();
        told(Exit::NotFound, format!("there is no bundled trace {name:?}; there are {names}"))
    })
}

fn names() -> String {
    BUNDLED.map(|(name, _)| name).join(", ")
}

fn parsed(text: &str, folder: &Path) -> anyhow::Result<Trace> {
    let mut table = laid_over(BASE.parse()?, text.parse()?);
    let file = table.remove(UPLOADS_FILE);
    // The list may be missing if a file has the uploads.
    table.entry("uploads").or_insert_with(|| Value::Array(Vec::new()));
    let mut trace: Trace = Value::Table(table).try_into()?;
    if let Some(file) = file {
        let file = file.as_str().with_context(|| format!("{UPLOADS_FILE}: it must be a text"))?;
        trace.uploads.extend(listed(&folder.join(file))?);
    }
    Ok(trace)
}

/// The uploads of a CSV file: a line each, with the keys of `[[uploads]]` as its header.
fn listed(path: &Path) -> anyhow::Result<Vec<Uploads>> {
    let reading = || format!("cannot read the uploads in {}", path.display());
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .from_path(path)
        .with_context(reading)?;
    reader.deserialize().collect::<Result<_, _>>().with_context(reading)
}

/// `base` with the values of `over`. Tables are merged, lists are replaced.
fn laid_over(mut base: Table, over: Table) -> Table {
    for (key, value) in over {
        let merged = match (base.remove(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => {
                Value::Table(laid_over(below, above))
            }
            (_, value) => value,
        };
        base.insert(key, merged);
    }
    base
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bundled_trace_is_valid_and_can_be_exported_and_read_again() {
        for (name, _) in BUNDLED {
            let trace = load(name).unwrap();
            assert_eq!(trace.check(), Ok(()), "{name}");
            assert_eq!(parsed(&exported(name).unwrap(), Path::new(".")).unwrap(), trace, "{name}");
        }
    }

    #[test]
    fn uploads_of_a_csv_file_are_read_with_the_names_of_their_columns() {
        let folder = tempfile::tempdir().unwrap();
        let text = "at-seconds,seconds,width,height,frame-rate,lane,owner\n\
            0, 60, 1920, 1080, 30, high, a\n# a comment\n5, 20.5, 640, 360, 25, low,\n";
        std::fs::write(folder.path().join("day.csv"), text).unwrap();
        let trace = load(folder.path().join("day.csv").to_str().unwrap()).unwrap();
        assert_eq!((trace.uploads.len(), trace.uploads[1].seconds), (2, 20.5));
        assert_eq!((trace.uploads[0].owner.as_str(), trace.uploads[0].count), ("a", 1));
        assert_eq!(trace.check(), Ok(()));
        let toml = "about = \"\"\nuploads-file = \"day.csv\"\n[nodes]\nslots = 2\n";
        std::fs::write(folder.path().join("day.toml"), toml).unwrap();
        let beside = load(folder.path().join("day.toml").to_str().unwrap()).unwrap();
        assert_eq!((beside.uploads, beside.nodes.slots), (trace.uploads, 2));
        std::fs::write(folder.path().join("day.csv"), "at,seconds\n0,60\n").unwrap();
        assert!(load(folder.path().join("day.csv").to_str().unwrap()).is_err());
    }
}

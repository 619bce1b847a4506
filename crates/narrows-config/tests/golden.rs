//! Bad configurations and what is said of them: `golden/*.yaml` beside `golden/*.expected`.
//!
//! `UPDATE_GOLDEN=1 cargo test -p narrows-config --test golden` writes the expected texts; read the difference.

use std::path::{Path, PathBuf};

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries = std::fs::read_dir(folder).expect("the folder of golden files");
    let mut cases: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    cases.sort();
    cases
}

#[test]
fn each_bad_configuration_gets_the_expected_diagnostics() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    let cases = cases();
    for case in &cases {
        let text = std::fs::read_to_string(case).expect("a golden file");
        let name = case.file_name().and_then(|name| name.to_str()).expect("a name");
        let loaded = narrows_config::load_text(name, &text, case.parent().expect("a folder"));
        let has_errors = loaded.diagnostics.has_errors();
        assert_eq!(loaded.plan.is_none(), has_errors, "{name}: a plan exactly when there is no error");
        let rendered = loaded.diagnostics.render(false);
        let expected = case.with_extension("expected");
        if update {
            std::fs::write(&expected, &rendered).expect("the expected text is written");
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != rendered {
            wrong.push(format!("--- {name}\n{rendered}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(cases.len() >= 40, "there are {} cases", cases.len());
}

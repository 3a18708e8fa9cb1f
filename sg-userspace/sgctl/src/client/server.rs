//! Where the native API is: a unix socket of this host, or a TCP address with an access key.

use std::{
    fmt, fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::{Uri, header::HeaderValue};
use serde::Deserialize;

use crate::{args::common::Common, failure::Failure, file};

/// A server of the native API.
#[derive(Clone, Debug)]
pub(crate) enum Server {
    /// A unix socket.
    Socket(PathBuf),
    /// A TCP address.
    Tcp(TcpServer),
}

/// A server at a TCP address.
#[derive(Clone)]
pub(crate) struct TcpServer {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// HTTP Basic, with an access key and its secret.
    pub(crate) authorization: HeaderValue,
}

impl fmt::Debug for TcpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpServer")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Tcp(server) => write!(f, "http://{}", server.authority()),
        }
    }
}

impl TcpServer {
    /// Host and port, as in a URL.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Whether what is sent stays on this host.
    pub(crate) fn is_local(&self) -> bool {
        let address = self.host.trim_matches(['[', ']']);
        let loopback = |address: IpAddr| match address {
            IpAddr::V4(address) => address.octets()[0] == Ipv4Addr::LOCALHOST.octets()[0],
            IpAddr::V6(address) => address == Ipv6Addr::LOCALHOST,
        };
        address == "localhost" || address.parse().is_ok_and(loopback)
    }
}

impl Server {
    /// The server that the arguments name.
    pub(crate) fn of(common: &Common) -> Result<Self, Failure> {
        match (&common.server, &common.socket) {
            (Some(_), Some(_)) => Err(Failure::input(anyhow!(
                "--server (SGCTL_SERVER) and --socket (SGCTL_SOCKET) name two servers: give one of them"
            ))),
            (Some(url), None) => Ok(Self::Tcp(tcp(url, common.access_key_file.as_deref())?)),
            (None, Some(socket)) => Ok(Self::Socket(socket.clone())),
            (None, None) => Ok(Self::Socket(common.instance()?.socket())),
        }
    }
}

fn tcp(url: &str, file: Option<&Path>) -> Result<TcpServer, Failure> {
    // A password before the host would be shown, too.
    let shown = url.rsplit_once('@').map_or(url, |(_, host)| host);
    let wrong = |why: &str| Failure::input(anyhow!("--server {shown}: {why}"));
    let form = "write http://ADDRESS:PORT, the address that `sgd serve --listen` prints";
    let uri: Uri = url.parse().map_err(|_| wrong(form))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => {
            return Err(wrong(
                "sgctl has no TLS: reach the server through an SSH tunnel or a local TLS proxy",
            ));
        }
        _ => return Err(wrong(form)),
    }
    let (Some(host), Some(port)) = (uri.host(), uri.port_u16()) else { return Err(wrong(form)) };
    if uri.path() != "/" || uri.query().is_some() || url.contains('@') {
        return Err(wrong(form));
    }
    let file = file.ok_or_else(|| {
        Failure::input(anyhow!(
            "--server needs an access key: give the file that has it with --access-key-file (SGCTL_ACCESS_KEY_FILE)"
        ))
    })?;
    Ok(TcpServer { host: host.to_owned(), port, authorization: authorization(file)? })
}

/// An access key as `sgctl access-key create -o json` prints it.
#[derive(Deserialize)]
struct AccessKeyFile {
    id: String,
    secret: String,
}

fn authorization(path: &Path) -> Result<HeaderValue, Failure> {
    let name = path.display();
    let metadata = fs::metadata(path).with_context(|| name.to_string()).map_err(Failure::Input)?;
    if metadata.is_file() && metadata.mode() & 0o077 != 0 {
        return Err(Failure::input(anyhow!(
            "{name}: other users can read or write this secret: chmod 0600 {name}"
        )));
    }
    let text = file::read_text(path)?;
    // The error would quote the secret.
    let AccessKeyFile { id, secret } = serde_json::from_str(&text).map_err(|error| {
        Failure::input(anyhow!(
            "{name}:{}: no access key: write what `sgctl access-key create -o json` prints",
            error.line()
        ))
    })?;
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))))
        .map_err(Failure::other)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn key(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    fn refused(url: &str, file: Option<&Path>) -> String {
        let Err(Failure::Input(error)) = tcp(url, file) else { panic!("{url} is accepted") };
        format!("{error:#}")
    }

    #[test]
    fn a_url_and_a_key() {
        let file = key(r#"{"id":"ak-1","secret":"hush"}"#, 0o600);
        for (url, local) in [
            ("http://127.0.0.1:8751", true),
            ("http://[::1]:1/", true),
            ("http://localhost:1", true),
            ("http://sg.example:80", false),
        ] {
            let server = tcp(url, Some(file.path())).unwrap();
            assert_eq!(server.is_local(), local, "{url}");
            assert_eq!(Server::Tcp(server.clone()).to_string(), url.trim_end_matches('/'));
            assert_eq!(server.authorization.to_str().unwrap(), "Basic YWstMTpodXNo");
            assert!(!format!("{server:?}").contains("YWst"), "{server:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let file = key(r#"{"id":"ak-1","secret":"hush"}"#, 0o600);
        for url in [
            "127.0.0.1:8751",
            "http://127.0.0.1",
            "ftp://a:1",
            "http://a:1/v1",
            "http://ak:s@a:1",
            "http://a:1?x",
        ] {
            assert!(refused(url, Some(file.path())).contains("write http://ADDRESS:PORT"), "{url}");
        }
        assert!(!refused("http://ak:hush@a:1", Some(file.path())).contains("hush"));
        assert!(refused("https://a:1", Some(file.path())).contains("no TLS"));
        assert!(refused("http://a:1", None).contains("--access-key-file"));
        let open = key(r#"{"id":"ak-1","secret":"hush"}"#, 0o640);
        assert!(refused("http://a:1", Some(open.path())).contains("chmod 0600"));
        let broken = key(r#"{"id":"ak-1","secret":["hush"]}"#, 0o600);
        let error = refused("http://a:1", Some(broken.path()));
        assert!(error.contains("no access key") && !error.contains("hush"), "{error}");
        assert!(refused("http://a:1", Some(Path::new("/no/such/key"))).contains("/no/such/key"));
    }
}

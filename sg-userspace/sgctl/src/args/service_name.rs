//! Ports by the names of services, as `sg_document` lists them, where a port is asked.

use sg_document::elsewhere::SERVICES;

/// A service by its name: the name, its protocol and its port.
pub(crate) fn service(text: &str) -> Option<(&'static str, &'static str, u16)> {
    SERVICES.iter().find(|(name, ..)| name.eq_ignore_ascii_case(text)).copied()
}

/// A port by its number or its service's name.
pub(crate) fn port(text: &str) -> Result<u16, String> {
    if let Some((.., port)) = service(text) {
        return Ok(port);
    }
    text.parse().map_err(|_| {
        let hint = match strsim_hint(text) {
            Some(name) => format!("; did you mean {name}?"),
            None => String::new(),
        };
        format!("a port is a number from 0 to 65535, or a service such as ssh, http or https{hint}")
    })
}

/// The text with names of services replaced by their ports.
pub(crate) fn numbered(ports: &str) -> String {
    let one = |part: &str| {
        let part = part.trim();
        service(part).map_or_else(|| part.to_owned(), |(.., port)| port.to_string())
    };
    ports.split(',').map(one).collect::<Vec<_>>().join(",")
}

/// A service whose name is similar.
fn strsim_hint(text: &str) -> Option<&'static str> {
    let text = text.to_ascii_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(name, &text);
    SERVICES
        .iter()
        .map(|(name, ..)| *name)
        .min_by_key(|name| distance(name))
        .filter(|name| distance(name) == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_its_port() {
        for (text, number) in [("ssh", 22), ("HTTPS", 443), ("0", 0), ("65535", 65535)] {
            assert_eq!(port(text), Ok(number), "{text}");
        }
        assert_eq!(numbered("ssh,8000-8100, https"), "22,8000-8100,443");
        assert_eq!(numbered("any"), "any");
        assert!(port("htps").unwrap_err().contains("did you mean http"), "either is near");
        for wrong in ["", "65536", "-1", "ssh-"] {
            let error = port(wrong).unwrap_err();
            assert!(error.contains("0 to 65535"), "{wrong}: {error}");
        }
    }

    #[test]
    fn the_table_is_sorted_and_has_no_number_as_a_name() {
        assert!(SERVICES.is_sorted());
        assert!(SERVICES.iter().all(|(name, ..)| name.parse::<u16>().is_err() && *name != "any"));
    }
}

//! Telling from the console how a boot went.

/// What systemd or getty print when the system is up.
const UP: [&str; 3] = [" login: ", "Reached target multi-user.target", "Reached target Multi-User System"];

/// What is printed when nothing more will come of it, and what that means.
const DOWN: [(&str, &str); 10] = [
    ("Kernel panic - not syncing", "the kernel panicked"),
    ("You are in emergency mode", "the system is in emergency mode"),
    ("Entering emergency mode", "the initramfs is in emergency mode"),
    ("Cannot open access to console, the root account is locked", "the system is in emergency mode"),
    ("Reached target emergency.target", "the system is in emergency mode"),
    ("Reached target Emergency Mode", "the system is in emergency mode"),
    ("(initramfs) ", "the initramfs gave up and shows its shell"),
    ("image_start: Error loading", "the boot loader could not start the kernel"),
    ("BdsDxe: No bootable option or device was found", "the firmware found nothing to boot"),
    ("UEFI Interactive Shell", "the firmware found nothing to boot"),
];

/// What to look for.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    expected: Option<String>,
}

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// What was waited for.
    Up,
    /// That it will not come.
    Down(&'static str),
}

impl Verdict {
    pub(super) fn new(expected: Option<&str>) -> Self {
        Self { expected: expected.map(str::to_owned) }
    }

    /// What a line says, if anything. What is expected counts first: it may be a failure.
    pub(super) fn of(&self, line: &str) -> Option<Said> {
        let up = match &self.expected {
            Some(expected) => line.contains(expected.as_str()),
            None => UP.iter().any(|text| line.contains(text)),
        };
        if up {
            return Some(Said::Up);
        }
        DOWN.iter().find(|(text, _)| line.contains(text)).map(|(_, meaning)| Said::Down(meaning))
    }

    /// What is waited for, in words.
    pub(super) fn expectation(&self) -> String {
        match &self.expected {
            Some(expected) => format!("`{expected}`"),
            None => "a login prompt or the multi-user target".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_how_it_went() {
        let usual = Verdict::new(None);
        for (line, said) in [
            ("edge-01 login: ", Some(Said::Up)),
            ("[  OK  ] Reached target multi-user.target - Multi-User System.", Some(Said::Up)),
            ("[   12.1] Kernel panic - not syncing: VFS", Some(Said::Down("the kernel panicked"))),
            (
                "../src/boot/boot.c:2576@image_start: Error loading \\EFI\\Linux\\a.efi: Access denied",
                Some(Said::Down("the boot loader could not start the kernel")),
            ),
            ("[  OK  ] Reached target sysinit.target", None),
            ("Started systemd-logind.service - User Login Management.", None),
        ] {
            assert_eq!(usual.of(line), said, "{line}");
        }
        let own = Verdict::new(Some("Entering emergency"));
        assert_eq!(own.of("Entering emergency mode."), Some(Said::Up));
        assert_eq!(own.of("edge-01 login: "), None);
    }
}

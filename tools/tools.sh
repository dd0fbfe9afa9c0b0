# Which Pulumi this checkout uses. Shared by setup and env.sh; needs $top, the checkout.

pulumi_version=3.255.0

# The folder of the tools that tools/setup builds. Keyed by everything that goes into them, so that a fresh clone
# finds what an earlier one built, and a changed source is built anew.
built_tools() {
    local key
    key=$(cd "$top/tools/pulumi" && find . -name '*.go' -o -name 'go.*' | LC_ALL=C sort | xargs sha256sum | sha256sum)
    echo "${XDG_CACHE_HOME:-$HOME/.cache}/platform-iac/tools/pulumi-$pulumi_version-$(echo "$key" | cut -c1-12)/bin"
}

# Whether a Pulumi that we did not build is on PATH, with its Python host, and new enough.
own_pulumi() {
    local found version
    found=$(command -v pulumi) || return 1
    case $found in */platform-iac/tools/pulumi-*) return 1 ;; esac
    command -v pulumi-language-python pulumi-language-python-exec >/dev/null || return 1
    version=$(PULUMI_SKIP_UPDATE_CHECK=true "$found" version 2>/dev/null) || return 1
    printf '%s\n' "$pulumi_version" "${version#v}" | sort --version-sort --check=silent
}

# Source this (bash or zsh): afterwards plain `pulumi preview --stack lab` and `platform-iac` work in this shell.
# It changes variables and makes one private folder with a passphrase; what you have set yourself stays.

_platform_iac_env() {
    local top state bin
    top=$1
    # shellcheck source=tools/tools.sh
    . "$top/tools/tools.sh"
    state=${XDG_STATE_HOME:-$HOME/.local/state}/platform-iac

    if ! own_pulumi; then
        bin=$(built_tools)
        case ":$PATH:" in *":$bin:"*) ;; *) PATH=$bin:$PATH ;; esac
    fi
    case ":$PATH:" in *":$top/.venv/bin:"*) ;; *) PATH=$top/.venv/bin:$PATH ;; esac
    export PATH

    if [ -z "${PULUMI_BACKEND_URL:-}" ]; then
        (umask 077 && mkdir -p "$state/pulumi") && chmod 0700 "$state" "$state/pulumi" || return 1
        export PULUMI_BACKEND_URL="file://$state/pulumi"
    fi
    if [ -z "${PULUMI_CONFIG_PASSPHRASE+set}" ] && [ -z "${PULUMI_CONFIG_PASSPHRASE_FILE:-}" ]; then
        export PULUMI_CONFIG_PASSPHRASE_FILE="$state/passphrase"
        if [ ! -s "$PULUMI_CONFIG_PASSPHRASE_FILE" ]; then
            # By link, which never replaces: of two shells that do this at once, both end with the same passphrase.
            (
                umask 077 && mkdir -p "$state" && new=$(mktemp "$state/passphrase.XXXXXX") &&
                    head -c 32 /dev/urandom | base64 >"$new" &&
                    {
                        if ln "$new" "$state/passphrase" 2>/dev/null; then
                            echo "made the passphrase of your stacks, $state/passphrase: keep a copy elsewhere" >&2
                        fi
                        rm "$new"
                    }
            ) || return 1
        fi
    fi
    export PULUMI_SKIP_UPDATE_CHECK=true
    # The first turns plan constraints on, the second crashes the CLI (use PULUMI_PARALLEL).
    unset PULUMI_EXPERIMENTAL PULUMI_OPTION_PARALLEL
}

if [ -n "${BASH_SOURCE:-}" ]; then
    _platform_iac_env "$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
else
    _platform_iac_env "$(cd "$(dirname "$0")/.." && pwd)"
fi
unset -f _platform_iac_env own_pulumi built_tools
unset pulumi_version

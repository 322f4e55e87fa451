"""Lines with secrets and lines without, labelled with the exact texts that must go.

Written in two halves: what finds secrets was tuned on the first one alone. A secret is put together
when the set is read, from drawn characters or from two pieces; no line here holds a whole one. In a
template, § stands for a secret. Lines as they are met are in `met_secrets`.
"""

import base64
import functools
import hashlib
import itertools
import re
import string
from collections.abc import Callable, Iterator
from typing import NamedTuple

from support.met_secrets import MET

LOWER, UPPER, DIGITS = string.ascii_lowercase, string.ascii_uppercase, string.digits
ALNUM = LOWER + UPPER + DIGITS
URL_SAFE = ALNUM + "-_"
BASE64 = ALNUM + "+/"
HEX = "0123456789abcdef"
ALPHABETS = {
    "hex": HEX,
    "HEX": HEX.upper(),
    "alnum": ALNUM,
    "url": URL_SAFE,
    "b64_": BASE64,
    "lower": LOWER + DIGITS,
    "UPPER": UPPER + "234567",
    "digits": "123456789",
}
DRAWN = re.compile(rf"\{{({'|'.join(ALPHABETS)}|uuid)(\d*)\}}")


class Line(NamedTuple):
    """A line, the secrets in it, and of what kind they are; `kind` is "none" for a harmless one."""

    half: int
    kind: str
    text: str
    secrets: tuple[str, ...]


def drawn(alphabet: str, length: int, seed: str) -> str:
    """Characters that look random, and are the same in every run."""
    blocks = (hashlib.sha256(f"{seed}:{n}".encode()).digest() for n in itertools.count())
    found = (alphabet[byte % len(alphabet)] for block in blocks for byte in block)
    return "".join(itertools.islice(found, length))


def form(prefix: str, *parts: tuple[str, int] | str) -> Callable[[str], str]:
    """What makes secrets of one provider: a prefix, then drawn characters and fixed ones."""

    def make(seed: str) -> str:
        drawn_parts = (
            part if isinstance(part, str) else drawn(*part, f"{seed}{place}")
            for place, part in enumerate(parts)
        )
        return "".join((prefix, *drawn_parts))

    return make


def web_token(seed: str) -> str:
    parts = ('{"alg":"HS256","typ":"JWT"}', f'{{"sub":"{seed}","name":"Ada","iat":1516239022}}')
    encoded = [base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts]
    return ".".join((*encoded, drawn(URL_SAFE, 43, seed)))


def private_key(label: str, seed: str, lines: int = 6, joint: str = "\n") -> str:
    body = joint.join(drawn(BASE64, 64, f"{seed}{n}") for n in range(lines))
    dashes = "-" * 5
    return joint.join((f"{dashes}BEGIN {label}{dashes}", body, f"{dashes}END {label}{dashes}"))


def basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


PROVIDERS: dict[str, Callable[[str], str]] = {
    "aws-key": form("AK" + "IA", (UPPER + "234567", 16)),
    "github-token": form("gh" + "p_", (ALNUM, 36)),
    "github-fine": form("github" + "_pat_", (ALNUM, 22), "_", (ALNUM, 59)),
    "gitlab-token": form("gl" + "pat-", (URL_SAFE, 20)),
    "slack-token": form("xo" + "xb-", (DIGITS, 12), "-", (DIGITS, 13), "-", (ALNUM, 24)),
    "slack-app": form("xa" + "pp-1-", (UPPER + DIGITS, 11), "-", (DIGITS, 13), "-", (HEX, 64)),
    "stripe-key": form("sk" + "_live_", (ALNUM, 24)),
    "stripe-test": form("rk" + "_test_", (ALNUM, 99)),
    "anthropic-key": form("sk" + "-ant-api03-", (URL_SAFE, 93), "AA"),
    "openai-key": form("sk" + "-proj-", (URL_SAFE, 74), "T3Blbk" + "FJ", (URL_SAFE, 74)),
    "openai-old": form("sk" + "-", (ALNUM, 20), "T3Blbk" + "FJ", (ALNUM, 20)),
    "google-key": form("AI" + "za", (URL_SAFE, 35)),
    "google-secret": form("GOC" + "SPX-", (URL_SAFE, 28)),
    "sendgrid-key": form("S" + "G.", (URL_SAFE, 22), ".", (URL_SAFE, 43)),
    "twilio-key": form("S" + "K", (HEX, 32)),
    "npm-token": form("np" + "m_", (ALNUM, 36)),
    "pypi-token": form("py" + "pi-AgEIcHlwaS5vcmc", (URL_SAFE, 120)),
    "docker-token": form("dck" + "r_pat_", (URL_SAFE, 27)),
    "huggingface-token": form("h" + "f_", (ALNUM, 34)),
    "groq-key": form("gs" + "k_", (ALNUM, 52)),
    "digitalocean-token": form("dop" + "_v1_", (HEX, 64)),
    "databricks-token": form("da" + "pi", (HEX, 32)),
    "shopify-token": form("shp" + "at_", (HEX, 32)),
    "telegram-token": form("", ("123456789", 10), ":A" + "A", (URL_SAFE, 33)),
    "linear-key": form("lin" + "_api_", (ALNUM, 40)),
    "notion-token": form("nt" + "n_", (ALNUM, 46)),
    "atlassian-token": form("ATA" + "TT3", (URL_SAFE, 180), "=", (HEX, 8)),
    "vault-token": form("hv" + "s.", (URL_SAFE, 90)),
    "grafana-token": form("gl" + "sa_", (ALNUM, 32), "_", (HEX, 8)),
    "newrelic-key": form("NR" + "AK-", (UPPER + DIGITS, 27)),
    "supabase-key": form("sb" + "p_", (HEX, 40)),
    "tailscale-key": form("ts" + "key-auth-", (ALNUM, 17), "-", (ALNUM, 32)),
    "rubygems-key": form("ruby" + "gems_", (HEX, 48)),
    "age-key": form("AGE-SEC" + "RET-KEY-1", (UPPER + "234567", 58)),
    "azure-secret": form("", (ALNUM, 3), "8" + "Q~", (URL_SAFE, 34)),
    "figma-token": form("fig" + "d_", (URL_SAFE, 40)),
    "replicate-token": form("r8" + "_", (ALNUM, 37)),
    "langsmith-key": form("lsv2" + "_pt_", (HEX, 32), "_", (HEX, 10)),
    "discord-token": form("MT", (ALNUM, 22), ".", (ALNUM, 6), ".", (URL_SAFE, 38)),
    "jwt": web_token,
    "password-hash": form("$" + "2b$12$", (ALNUM + "./", 53)),
}
CONTEXTS = {
    1: (
        "export TOKEN=§",
        'client = Client("§")',
        "WARNING 2026-03-02 10:11:12 retrying with § after 401",
        '  "credentials": ["§"],',
        "curl -sS -H 'X-Api-Key: §' https://api.example.com/v1/me",
        "I pasted § into the form and it worked.",
        "git clone https://oauth2:§@git.example.com/team/app.git",
        "const c = new Api({ auth: `§` });",
    ),
    2: (
        "TOKEN: §  # rotate me",
        "set -x; deploy --quiet §",
        "Traceback: ValueError: cannot use '§' here",
        "headers = {'Authorization': 'Bearer §'}",
        'variable "t" { default = "§" }',
        "the log shows key=§&page=2 in the query",
        "> they gave me (§), is that right?",
        '{\\"token\\": \\"§\\", \\"user\\": 7}',
    ),
}


NOTED = {
    1: (
        "password: §",
        "user: bob\npassword: §\nhost: db1",
        "- passwd: §",
        "db_password=§",
        '{"name":"password","value":"§"}',
        '{"key": "DB_PASSWORD", "value": "§"}',
    ),
    2: (
        "Password: §",
        "host: db1\r\npwd: §\r\n",
        "> password: §",
        "smtp_password=§\n",
        "[{'key':'SMTP_PASSWORD','value':'§'}]",
        '{\\"name\\":\\"passphrase\\",\\"value\\":\\"§\\"}',
    ),
}
NOTED_TOKENS = {
    1: ("token: §", '{"key":"API_KEY","value":"§"}'),
    2: ("* auth_token: §", '{"name":"SERVICE_TOKEN","value":"§"}'),
}


def pieces(*parts: str) -> str:
    """A secret that a person made up."""
    return "".join(parts)


MADE_UP = {
    1: [
        pieces("hun", "ter2"), pieces("Tr0ub", "4dor&3"), pieces("S3cr", "et!2024"),
        pieces("qwer", "ty123"), pieces("P@ss", "w0rd!"), pieces("pass", "word123"),
        pieces("let", "me1n"), pieces("Sum", "mer2025!"), pieces("zK9", "#mQ2v"),
        pieces("iLove", "Cats99"), pieces("4dm1n", "Pw"), pieces("x7J", "pL0w9"),
        pieces("N3ver", "Gu3ss"), pieces("blau", "Wal_77"), pieces("vT!", "8rraform"),
    ],
    2: [
        pieces("dra", "gon42"), pieces("Ber", "lin#1989"), pieces("M0nk", "eyB@r"),
        pieces("abc", "D3f!gh"), pieces("Win", "ter2023?"), pieces("super", "man7"),
        pieces("G7k", "pQz2LmX"), pieces("t0p", "s3cr3t"), pieces("coffee", "4Me!"),
        pieces("Pa55", "phrase"), pieces("r00t", "r00t"), pieces("9fj", "Kd02ls"),
        pieces("Kat", "ze_2020"), pieces("L!on", "K1ng"), pieces("q1w2", "e3r4t5"),
    ],
}  # fmt: skip
BY_NAME = {
    1: (
        "DB_PASSWORD=§",
        "export PGPASSWORD='§'",
        'password: "§"',
        "  password: §",
        '"password": "§",',
        "spring.datasource.password=§",
        "const password = '§';",
        "conn = connect(host='db', user='app', password='§')",
        'db_password = "§"  # terraform.tfvars',
        "mysqldump --user=root --password=§ shop > dump.sql",
        "<password>§</password>",
        'private static final String PASSWORD = "§";',
        "$env:ADMIN_PASSWORD = '§'",
        ":password => '§',",
        'setPassword("§");',
        "ALTER USER app WITH PASSWORD '§';",
        "redis_pass=§",
        "- name: MYSQL_ROOT_PASSWORD\n  value: §",
        'os.environ["SMTP_PASSWORD"] = "§"',
        "wifi passwd: §",
        '{\\"user\\": \\"bob\\", \\"password\\": \\"§\\"}',
        'passphrase = "§"',
        "Server=tcp:db,1433;User Id=sa;Password=§;Encrypt=true;",
        "https://example.com/login?user=bob&password=§&next=%2F",
        "[ftp]\nuser = bob\npwd = §",
        'password := "§"',
        "echo '§' | sudo -S apt-get update",
        "sshpass -p '§' ssh deploy@203.0.113.7",
        "mysql -u root -p§ shop",
        "curl -u admin:§ https://ci.example.com/job/build",
    ),
    2: (
        "MYSQL_PWD=§ mysql -u app",
        "ENV ADMIN_PASSWORD §",
        "admin_password: '§'",
        'let pwd: string = "§";',
        "'password' => '§',",
        "jdbc:mysql://db:3306/shop?user=app&password=§",
        'var dbPassword = "§";',
        "user_password = §",
        '  rootPassword: "§"',
        "--password §",
        'if password == "§":',
        "machine api.example.com login bob password §",
        '<add key="SmtpPassword" value="§"/>',
        'with_password("§")',
        "CREATE USER 'app'@'%' IDENTIFIED BY '§';",
        "docker login -u bob -p § registry.example.com",
        'password=r"§"',
        'Map.of("password", "§")',
        "ConvertTo-SecureString '§' -AsPlainText -Force",
        "RABBITMQ_DEFAULT_PASS: §",
        'pass: "§"',
        "credentials: { username: 'bob', password: '§' }",
        "ansible_become_pass=§",
        "db.example.com:5432:shop:app:§",
        'password = b"§"',
        'LDAP_BIND_PASSWORD="§"',
        "client.login(username='bob', password=\"§\")",
        "-Dkeystore.password=§",
        "[INFO] connecting as bob, password=§, ssl=on",
        "KEYSTORE_PASSPHRASE='§'",
    ),
}
SAID = {
    1: (
        "My password is §, please do not lose it.",
        "The wifi password is: §",
        "use the password `§` for the demo account",
        "passwort ist §",
        "Das Passwort lautet §.",
        "Le mot de passe est § pour le serveur.",
        "la contraseña es §",
        "the admin password was changed to § yesterday",
        "login: bob / password: §",
        "密码是§",
        "hasło: §",
        "I set the root password to §",
        "senha: §",
    ),
    2: (
        "ok the password is § now",
        "**Password:** §",
        "Mein Kennwort ist §",
        "parola: §",
        "La contraseña de la base es §",
        "el passwd es §",
        "wachtwoord: §",
        "パスワードは§",
        "mot de passe : §",
        "пароль: §",
        "A senha do banco é §",
        "Password for bob is §",
        "user bob, pass §1x".replace("§1x", "= §"),
    ),
}
RANDOM: dict[str, Callable[[str], str]] = {
    "hex32": form("", (HEX, 32)),
    "hex40": form("", (HEX, 40)),
    "alnum32": form("", (ALNUM, 32)),
    "base64": form("", (BASE64, 40)),
    "alnum24": form("", (LOWER + DIGITS, 24)),
}
BY_KEY = {
    1: (
        "AWS_SECRET_ACCESS_KEY=§",
        'aws_secret_access_key = "§"',
        "API_KEY=§",
        '"api_key": "§",',
        "apiKey: '§'",
        "client_secret=§&grant_type=client_credentials",
        "secret_key_base: §",
        "Authorization: Bearer §",
        "X-Api-Key: §",
        'headers["X-Auth-Token"] = "§"',
        "https://api.example.com/v1/items?api_key=§",
        "AccountKey=§;EndpointSuffix=core.windows.net",
        "DefaultEndpointsProtocol=https;AccountName=shop;AccountKey=§==;",
        "token: §",
        "access_token=§",
        "ENCRYPTION_KEY='§'",
        "the api key is §",
        "JWT_SECRET=§",
        "//registry.example.com/:_authToken=§",
        "Cookie: sessionid=§; theme=dark",
        "datadog.api_key: §",
    ),
    2: (
        "AZURE_CLIENT_SECRET: §",
        "aws configure set aws_secret_access_key §",
        "OPENWEATHER_API_KEY=§",
        "Authorization: token §",
        "--api-key §",
        "const SECRET = '§';",
        'refresh_token: "§"',
        "Endpoint=sb://bus.example.com/;SharedAccessKeyName=root;SharedAccessKey=§=",
        "SECRET_KEY = 'django-§'",
        "wss://example.com/socket?token=§",
        'cohere_api_key = "§"',
        "private_key_id_secret: §",
        "session_token=§",
        "webhook_secret: '§'",
        "export CLOUDFLARE_API_TOKEN=§",
        "Set-Cookie: auth_token=§; HttpOnly",
        "my api token is §, it expires soon",
        'signing_key => "§"',
        "curl -H 'PRIVATE-TOKEN: §' https://git.example.com/api/v4/projects",
        'stripe.apiKey = "§";',
        "bearer §",
    ),
}
CONNECTIONS = {
    1: (
        "DATABASE_URL=postgres://app:§@db.example.com:5432/shop",
        'engine = create_engine("mysql+pymysql://root:§@127.0.0.1/shop")',
        "redis://:§@cache:6379/0",
        "mongodb+srv://bob:§@cluster0.example.net/test?retryWrites=true",
        "amqp://guest:§@rabbit:5672//",
        "ftp://bob:§@files.example.com/in",
        "error: could not connect to postgresql://app:§@10.0.0.5/shop (timeout)",
        "pip install --index-url https://bob:§@pkgs.example.com/simple lib",
    ),
    2: (
        "BROKER_URL: amqps://svc:§@mq.example.com:5671/prod",
        "sqlalchemy.url = postgresql+asyncpg://app:§@localhost/app",
        "git remote set-url origin https://bob:§@git.example.com/a/b.git",
        "smtp://mailer%40example.com:§@smtp.example.com:587",
        "mssql://sa:§@sql:1433/master",
        "clickhouse://default:§@ch:9000/logs",
        "http_proxy=http://user1:§@proxy.example.com:3128",
        "neo4j+s://neo4j:§@graph.example.com",
    ),
}
HARMLESS = {
    1: (
        "commit {hex40}",
        "Merge {hex7} into main",
        "id: {uuid}",
        "trace_id={hex32} span_id={hex16}",
        "sha256:{hex64}",
        "md5sum: {hex32}  archive.tar.gz",
        '"integrity": "sha512-{b64_86}==",',
        "CC(=O)Oc1ccccc1C(=O)O",
        "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",
        "C[C@@H](C(=O)N[C@@H](CC1=CC=CC=C1)C(=O)O)N",
        "ATGGCCATTGTAATGGGCCGCTGAAAGGGTGCCCGATAGATGGCCATTGTA",
        "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVKVKALPDAQFEVV",
        "data:image/png;base64,iVBORw0KGgo{b64_200}",
        "ssh-rsa AAAAB3NzaC1yc2E{b64_200} bob@laptop",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0{b64_64}\n-----END PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----\nMIID{b64_64}\n-----END CERTIFICATE-----",
        "api_key = <your-api-key>",
        "API_KEY=xxxxxxxxxxxxxxxx",
        "export TOKEN=$TOKEN",
        'password = os.environ["DB_PASSWORD"]',
        "password: ${DB_PASSWORD}",
        "api_key: process.env.API_KEY,",
        'token = request.headers.get("Authorization")',
        "def login(username: str, password: str) -> bool:",
        "password = getpass.getpass()",
        "if password != confirm_password:",
        'raise ValueError("password is too short")',
        "The password is wrong.",
        "Passwords must have at least 12 characters and a digit.",
        "password: string;",
        "password = models.CharField(max_length=128)",
        '<input type="password" name="password" placeholder="Password">',
        "ISBN 978-3-16-148410-0",
        "color: #ff8800aa;",
        "rgba(0,0,0,.5);background:#1e90ff",
        "!function(e,t){'object'==typeof exports?module.exports=t():e.K=t()}(this,function(){});",
        "e_k3x5u2m7qa4c and t_abcdefgh2345",
        "r_q7w2e4r6t5y3 served e_a2b3c4d5e6f7",
        "test_the_token_of_a_user_is_refreshed_before_it_expires_in_2_hours",
        "max_tokens=4096, temperature=0.2",
        "the tokenizer splits it into 1024 tokens",
        "primary key (id), foreign key (user_id) references users(id)",
        "cache_key = f'user:{user_id}:v2'",
        "key=lambda item: item.score",
        "sorted(rows, key=itemgetter(1))",
        "KeyError: 'api_key'",
        "press the Key_F12 key to continue",
        "public_key = '{b64_64}'",
        "pk = 'pk_{live}_{alnum24}'",
        "keyboard shortcuts: Ctrl+K",
        "secretKeyRef:\n  name: db-credentials\n  key: password",
        "secret_name: prod/db/password",
        "token_url: https://auth.example.com/oauth/token",
        "The secret of a good sauce is patience.",
        "Author: Ada Lovelace <ada@example.com>",
        "postgres://user:password@localhost/db",
        "postgres://${USER}:${PASS}@localhost/db",
        "http://localhost:8080/@types/node",
        "https://example.com:8443/path?x=1",
        "https://medium.com/@ada/a-story-{hex12}",
        "version 2.3.4-beta.5+build.20260302",
        "sqlite_autoindex_experiences_1",
        "com.example.project.authentication.TokenProviderFactory",
        "x-request-id: {uuid}",
        'etag: W/"{hex32}"',
        "docker.io/library/python@sha256:{hex64}",
        "https://cdn.example.com/app.{hex20}.js",
        "password_hash = hash_password(password)",
        "token = jwt.encode(payload, secret, algorithm='HS256')",
        "access_token = response.json()['access_token']",
        "secret = secrets.token_hex(16)",
        "self.api_key = api_key or os.getenv('API_KEY')",
        "const token = await getToken();",
        "password=password",
        "connect(user=user, password=settings.db_password)",
        "export AWS_SECRET_ACCESS_KEY=...",
        "OPENAI_API_KEY=sk-...",
        "Authorization: Bearer <token>",
        'headers = {"Authorization": f"Bearer {token}"}',
        "Authorization: Bearer $GITHUB_TOKEN",
        "basic authentication is not enough here",
        "token: '{{ vault_token }}'",
        "the answer is 3.14159265358979323846264338327950288",
        "UUID {uuid} was not found in partition_key index",
        "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A is how public keys begin",
        "fields = ['username', 'password', 'email']",
        "password_min_length = 12",
        "reset_password_token_expires_in: 3600",
        "Your session has expired, sign in again",
        "passed 128 tests in 3.21s, 2 xpassed",
        "pass",
        "bypass the proxy: no",
        "compass: north-west",
        "author = 'J. R. R. Tolkien'",
        "credential_id: 42",
        "vocab: {'tok': 17, 'en': 18}",
        "<private_notes> is no tag of ours",
        "auth: none",
        "key: value",
        "x = key[0]; y = key[1]",
        "the password: it must be long",
        "token: the next word of a text",
        "password: see the vault",
        "- password: encrypted",
        "type User = {\n  name: string\n  password: string\n}",
        "password = userinput\nlogin(password)",
        "token: identifier",
        '{"name": "key", "value": "hello"}',
    ),
    2: (
        "HEAD is now at {hex7} Fix the build",
        "index {hex7}..{hex7} 100644",
        "request {uuid} took 35 ms",
        "parent {hex40}",
        'checksum = "{hex64}"',
        "Downloading model {hex40}/model.onnx",
        "--hash=sha256:{hex64}",
        'resolved "https://pkgs.example.com/a/-/a-1.0.0.tgz#{hex40}"',
        "O=C(O)C[C@H](O)C[C@H](O)CCn2c(c(c(c2c1ccc(F)cc1)c3ccccc3)C(=O)Nc4ccccc4)C(C)C",
        "InChI=1S/C8H10N4O2/c1-10-4-9-6-5(10)7(13)12(3)8(14)11(6)2/h4H,1-3H3",
        "InChIKey: RYYVLZVUVIJVGH-UHFFFAOYSA-N",
        "GGCTAGCTAGCTTACGATCGATCGGGCTATATCGCGATTAGCTAGCATCGA",
        '<img src="data:image/gif;base64,R0lGODlhAQABAIAAA{b64_200}">',
        "url(data:font/woff2;base64,d09GMgAB{b64_200})",
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY{b64_64} host",
        "SHA256:{b64_43} bob@laptop (ED25519)",
        "age1{lower58}",
        "TOKEN=your-token-here",
        "password: changeme",
        "api_key='YOUR_API_KEY'",
        'apiKey: "INSERT_KEY_HERE",',
        "password: '********'",
        "secret: [REDACTED]",
        'secret: "{{ .Values.secret }}"',
        'password = "%s" % value',
        "PASSWORD=$(cat /run/secrets/db)",
        "password_file: /run/secrets/db_password",
        "token=${{ secrets.GITHUB_TOKEN }}",
        "const apiKey = process.env.STRIPE_KEY!;",
        'api_key = config["api_key"]',
        'String password = request.getParameter("password");',
        "password = user.password",
        "private String password;",
        "public void setPassword(String password) {",
        "assert response.json()['detail'] == 'token expired'",
        "Invalid username or password.",
        "Forgot password?",
        "enter password: ",
        "The token is invalid or has expired.",
        "password is required",
        "What is the password policy of the company?",
        "the secret is out",
        "password manager: 1Password or Bitwarden",
        "Das Passwort ist falsch.",
        "Le mot de passe est incorrect.",
        "la contraseña es obligatoria",
        "ISBN-10: 0-306-40615-2, DOI 10.1000/182",
        "IBAN-like DE00 0000 and phone +49 30 901820",
        "#0f172a #1e293b #334155 #475569",
        "var a=[1,2,3].map(function(t){return t*t}),n=a.reduce((t,e)=>t+e);",
        "b_m3n4b5v6c7x2 claims t_z2x3c4v5b6n7",
        "TestRefreshTokenRotationKeepsSessionAlive::test_case_12",
        "input_tokens: 12345, output_tokens: 678",
        "tokens per second: 45.2",
        "CREATE UNIQUE INDEX idx_key ON items(key)",
        "dict_keys(['a', 'b'])",
        "sort_key: created_at",
        "for key, value in items.items():",
        "translation_key: checkout.payment.title_2024",
        "idempotency_key: {uuid}",
        "foreign_key: user_id_2",
        "the key insight is that x2y3 is even",
        "hotkey = 'cmd+shift+p'",
        "ssh_key_path = '~/.ssh/id_ed25519'",
        "key_id: {hex16}",
        "keyid: 0x{HEX16}",
        'publicKey: "{b64_43}="',
        "NEXT_PUBLIC_SITE_KEY=demo",
        "kid: 2026-03-key-1",
        "auth_url = https://login.example.com/authorize",
        "secretsmanager:GetSecretValue",
        "arn:aws:iam::123456789012:role/deploy",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db",
        "https://user@example.com/path",
        "mysql://user:pass@host/db",
        "mongodb://<user>:<password>@cluster0.example.net",
        "ssh://git@git.example.com:2222/team/app.git",
        "s3://bucket/prefix/{hex32}/part-0001.parquet",
        "/nix/store/{lower32}-python3-3.12.2/bin/python",
        "libfoo.so.1.2.3 => /usr/lib/x86_64-linux-gnu/libfoo.so.1",
        "urn:uuid:{uuid}",
        "org.springframework.security.authentication.UsernamePasswordAuthenticationToken",
        "ETag {hex40}, Last-Modified: Mon, 02 Mar 2026 10:00:00 GMT",
        "build/{hex20}/bundle.min.js.map",
        "Cookie: theme=dark; lang=en",
        "session = requests.Session()",
        "session: 2026-03-02 kick-off",
        "signature = inspect.signature(function)",
        "salt and pepper to taste",
        "the pin of the connector is bent",
        "await page.fill('#password', password)",
        "hashed = bcrypt.hashpw(password, bcrypt.gensalt())",
        "token = tokens[0]",
        "Token token = lexer.nextToken();",
        "return token.value if token else None",
        "case TokenKind.Identifier2:",
        "passenger: 2 adults, 1 child",
        "passport control opens at 08:30",
        "passthrough: true",
        "credentials: include",
        "webhook: enabled",
        "Bearer of bad news, he went home",
        "Password: incorrect",
        "He lost the password: never mind",
        "password: unchanged",
        "Passwords: letters and digits",
        "- token: whitespace",
        "pwd: printing",
        "token: 12 characters",
        '[{"name": "password", "value": "string"}]',
    ),
}


WORDS = {
    1: [
        pieces("sword", "fish"), pieces("lobster", "pot"), pieces("mother", "in"),
        pieces("kartof", "fel"), pieces("sun", "shine"), pieces("open", "sesame"),
    ],
    2: [
        pieces("let", "mein"), pieces("drag", "onfly"), pieces("tele", "phon"),
        pieces("butter", "cup"), pieces("moon", "light"), pieces("trust", "noone"),
    ],
}  # fmt: skip
SHORT = {
    1: (form("", (LOWER, 4), (DIGITS, 4), (LOWER, 4)), form("", (ALNUM, 16))),
    2: (form("", (LOWER + DIGITS, 12)), form("", (HEX, 20))),
}


def harmless(template: str, seed: str) -> str:
    """A look-alike; its drawn parts are no secrets."""
    digits = drawn(HEX, 64, seed)
    uuid = "-".join(
        (digits[:8], digits[8:12], f"4{digits[13:16]}", f"a{digits[17:20]}", digits[20:32])
    )
    values = {f"hex{n}": drawn(HEX, n, f"{seed}{n}") for n in (7, 12, 16, 20, 32, 40, 64)}
    values |= {f"b64_{n}": drawn(BASE64, n, f"{seed}b{n}") for n in (43, 64, 86, 200)}
    values |= {f"lower{n}": drawn(LOWER + DIGITS, n, f"{seed}l{n}") for n in (32, 58)}
    values |= {"uuid": uuid, "HEX16": drawn(HEX, 16, seed).upper(), "live": "live"}
    values |= {"alnum24": drawn(ALNUM, 24, seed)}
    return re.sub(r"\{(\w+)\}", lambda name: values.get(name[1], name[0]), template)


def met(half: int) -> Iterator[Line]:
    """Lines as they are met, their drawn parts filled in."""
    for number, template in enumerate(MET[half]):
        filled = DRAWN.sub(functools.partial(_drawn, seed=f"{half}:{number}"), template)
        parts = filled.split("§")
        kind = "as met" if len(parts) > 1 else "none"
        yield Line(half, kind, "".join(parts), tuple(parts[1::2]))


def _drawn(part: re.Match[str], seed: str) -> str:
    if part[1] == "uuid":
        return harmless("{uuid}", f"{seed}{part.start()}")
    return drawn(ALPHABETS[part[1]], int(part[2]), f"{seed}{part.start()}")


def lines() -> Iterator[Line]:
    """The whole set, the same in every run."""
    for half in (1, 2):
        yield from met(half)
        yield from _provided(half)
        yield from _made_up(half)
        yield from _keyed(half)
        yield from _noted(half)
        yield from _whole(half)
        for number, template in enumerate(HARMLESS[half]):
            yield Line(half, "none", harmless(template, f"{half}:{number}"), ())


def _provided(half: int) -> Iterator[Line]:
    contexts = CONTEXTS[half]
    for number, (kind, make) in enumerate(PROVIDERS.items()):
        secret = make(f"{half}{kind}")
        yield _filled(half, kind, contexts[(number + half) % len(contexts)], secret)


def _made_up(half: int) -> Iterator[Line]:
    words = itertools.cycle(MADE_UP[half])
    for kind, templates in (
        ("password", BY_NAME), ("password in prose", SAID), ("connection-string", CONNECTIONS)
    ):  # fmt: skip
        for template in templates[half]:
            secret = next(words)
            if kind == "connection-string":
                secret = secret.replace("#", "-").replace("?", "-").replace("&", "-")
            yield _filled(half, kind, template, secret)
    yield _filled(half, "password", "Authorization: Basic §", basic("bob", next(words)))


def _keyed(half: int) -> Iterator[Line]:
    makers = itertools.cycle(RANDOM.items())
    for template in BY_KEY[half]:
        kind, make = next(makers)
        yield _filled(half, "named key", template, make(f"{half}{kind}{template}"))


def _noted(half: int) -> Iterator[Line]:
    """Plain words and short tokens, as people note them and forms send them."""
    for template, word in zip(NOTED[half], WORDS[half], strict=True):
        yield _filled(half, "noted", template, word)
    for template, make in zip(NOTED_TOKENS[half], SHORT[half], strict=True):
        yield _filled(half, "noted", template, make(f"{half}{template}"))


def _whole(half: int) -> Iterator[Line]:
    """Secrets of several lines, and what its owner marked as private."""
    label = ("RSA PRIVATE KEY", "OPENSSH PRIVATE KEY")[half - 1]
    kind = "private-key"
    yield _filled(half, kind, "$ cat id\n§\n$ exit", private_key(label, f"{half}a"))
    yield _filled(
        half, kind, '"private_key": "§",', private_key("PRIVATE KEY", f"{half}b", joint="\\n")
    )
    yield _filled(half, kind, "key: |\n  §", private_key("EC PRIVATE KEY", f"{half}c", 2, "\n  "))
    words = MADE_UP[half]
    yield _filled(half, "private", "before § after", f"<private>call {words[0]}\nat noon</private>")
    yield _filled(half, "private", "note §", f"<PRIVATE reason='x'>{words[1]} and all that follows")


def _filled(half: int, kind: str, template: str, secret: str) -> Line:
    return Line(half, kind, template.replace("§", secret), (secret,))

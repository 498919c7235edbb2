/* completion: what a shell needs to complete commands and options, made from their tables. */
#include <stdio.h>
#include <string.h>

#include "client/admin/commands.h"

static bool is_first_of_noun(size_t number)
{
	for (size_t i = 0; i < number; i++)
		if (strcmp(admin_command(i)->noun, admin_command(number)->noun) == 0)
			return false;
	return true;
}

static void print_nouns(void)
{
	for (size_t i = 0; i < admin_command_count(); i++)
		if (is_first_of_noun(i))
			printf(" %s", admin_command(i)->noun);
}

/* What else can stand behind a noun. */
static const struct {
	const char *noun, *words;
} choices[] = {{"completion", "bash zsh fish"}, {"error", "list"}, {"slowlog", "reset"}};

static void print_verbs(const char *noun)
{
	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++)
		if (strcmp(choices[i].noun, noun) == 0)
			printf(" %s", choices[i].words);
	for (size_t i = 0; i < admin_command_count(); i++) {
		const struct admin_command *command = admin_command(i);
		if (command->verb && strcmp(command->noun, noun) == 0)
			printf(" %s", command->verb);
	}
}

/* The names of options that are taken with `allowed`: all, or those that have a value. */
static void print_options(unsigned allowed, bool with_value_only, const char *between)
{
	const char *name;
	bool has_value, first = true;
	for (size_t i = 0; (name = args_option_name(i, allowed, &has_value)); i++) {
		if (!name[0] || (with_value_only && !has_value))
			continue;
		printf("%s%s", first ? "" : between, name);
		first = false;
	}
}

/* In bash ':', '=' and '@' are words of their own, in zsh they are not. What stands behind '=' is
 * completed as it is behind a space. */
static void print_scan(void)
{
	fputs("_kalix_admin() {\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
	      "\tlocal noun='' verb='' verbs='' opts='' i\n"
	      "\t[ \"$cur\" != '=' ] || cur=''\n"
	      "\t[ \"$prev\" != '=' ] || prev=${COMP_WORDS[COMP_CWORD - 2]}\n"
	      "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	      "\t\tcase ${COMP_WORDS[i]} in\n"
	      "\t\t[:=@]) ((i++)) ;;\n"
	      "\t\t",
	    stdout);
	print_options(ARGS_ALL, true, " | ");
	fputs(")\n"
	      "\t\t\t[ \"${COMP_WORDS[i + 1]}\" = '=' ] || ((i++)) ;;\n"
	      "\t\t-*) ;;\n"
	      "\t\t*)\n"
	      "\t\t\tif [ -z \"$noun\" ]; then noun=${COMP_WORDS[i]};\n"
	      "\t\t\telif [ -z \"$verb\" ]; then verb=${COMP_WORDS[i]}; fi ;;\n"
	      "\t\tesac\n"
	      "\tdone\n",
	    stdout);
}

static void print_cases(void)
{
	fputs("\tcase $noun in\n\t'') verbs='", stdout);
	print_nouns();
	fputs("' ;;\n", stdout);
	for (size_t i = 0; i < admin_command_count(); i++) {
		if (!is_first_of_noun(i))
			continue;
		printf("\t%s) verbs='", admin_command(i)->noun);
		print_verbs(admin_command(i)->noun);
		fputs("' ;;\n", stdout);
	}
	fputs("\tesac\n\tcase \"$noun $verb\" in\n", stdout);
	for (size_t i = 0; i < admin_command_count(); i++) {
		const struct admin_command *command = admin_command(i);
		printf("\t'%s %s'%s) opts='", command->noun, command->verb ? command->verb : "",
		    command->verb ? "" : "*");
		print_options(command->options, false, " ");
		fputs("' ;;\n", stdout);
	}
	fputs("\tesac\n", stdout);
}

/* Without mapfile, which zsh does not have; names of files are left to the shell (-o default). */
static void print_bash(void)
{
	print_scan();
	print_cases();
	fputs("\tCOMPREPLY=()\n"
	      "\tcase $prev in\n"
	      "\t-o | --output) COMPREPLY=($(compgen -W 'table json jsonl' -- \"$cur\")) ;;\n"
	      "\t",
	    stdout);
	print_options(ARGS_ALL, true, " | ");
	fputs(") ;;\n"
	      "\t*)\n"
	      "\t\tif [[ $cur == -* ]]; then\n"
	      "\t\t\tCOMPREPLY=($(compgen -W \"${opts:---help --version}\" -- \"$cur\"))\n"
	      "\t\telif [ -z \"$verb\" ] && [ -n \"$verbs\" ]; then\n"
	      "\t\t\tCOMPREPLY=($(compgen -W \"$verbs\" -- \"$cur\"))\n"
	      "\t\tfi ;;\n"
	      "\tesac\n"
	      "}\n"
	      "complete -o default -F _kalix_admin kalix-admin\n",
	    stdout);
}

/* Apostrophes end a word of fish. */
static void print_quoted(const char *text)
{
	putchar('\'');
	for (; *text; text++)
		printf(*text == '\'' ? "\\%c" : "%c", *text);
	putchar('\'');
}

/* `words` behind a noun, as long as nothing of what can stand there does. */
static void print_fish_behind(const char *noun, const char *words, const char *what)
{
	printf("complete -c kalix-admin -f -n '__fish_seen_subcommand_from %s; and not "
	       "__fish_seen_subcommand_from",
	    noun);
	print_verbs(noun);
	printf("' -a '%s' -d ", words);
	print_quoted(what);
	putchar('\n');
}

static void print_fish(void)
{
	const char *name;
	bool has_value;
	for (size_t i = 0; i < admin_command_count(); i++) {
		const struct admin_command *command = admin_command(i);
		if (is_first_of_noun(i)) {
			printf("complete -c kalix-admin -n __fish_use_subcommand -a %s -d ",
			    command->noun);
			print_quoted(command->verb ? command->noun : command->what);
			putchar('\n');
		}
		if (command->verb)
			print_fish_behind(command->noun, command->verb, command->what);
	}
	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++)
		print_fish_behind(choices[i].noun, choices[i].words, "");
	for (size_t i = 0; (name = args_option_name(i, ARGS_ALL, &has_value)); i++)
		if (strncmp(name, "--", 2) == 0)
			printf(
			    "complete -c kalix-admin -l %s%s\n", name + 2, has_value ? " -r" : "");
}

enum exit_code command_completion(const struct args *args)
{
	const char *shell = args->word[1];
	if (strcmp(shell, "bash") == 0) {
		fputs("# source <(kalix-admin completion bash)\n", stdout);
		print_bash();
	} else if (strcmp(shell, "zsh") == 0) {
		fputs("# source <(kalix-admin completion zsh)\n"
		      "autoload -U +X bashcompinit && bashcompinit\n",
		    stdout);
		print_bash();
	} else if (strcmp(shell, "fish") == 0) {
		fputs("# kalix-admin completion fish | source\n", stdout);
		print_fish();
	} else {
		fprintf(stderr, "kalix-admin: completion is for bash, zsh or fish, not '%.40s'\n",
		    shell);
		return EXIT_USAGE;
	}
	return fflush(stdout) ? command_failed(ERR_IO, "") : EXIT_DONE;
}
